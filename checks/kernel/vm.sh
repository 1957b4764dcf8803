# shellcheck shell=bash
# Sourced by what needs Linux in a virtual machine, with `target_dir` set to cargo's target folder.

# Whether IPENCAP_KERNEL_VM has a virtual machine; says why not.
has_vm() {
    if [ -z "${IPENCAP_KERNEL_VM:-}" ]; then
        echo "skipped: IPENCAP_KERNEL_VM does not say where the virtual machine is"
        return 1
    fi
    if ! [ -x "$IPENCAP_KERNEL_VM/run.sh" ] || ! [ -r "$IPENCAP_KERNEL_VM/orc.py" ]; then
        echo "skipped: there is no virtual machine in $IPENCAP_KERNEL_VM"
        return 1
    fi
}

# Sets `vm` to where it is built; where IPENCAP_KERNEL_VM is not, to a copy in the target folder, which builds itself.
# Not in a condition, where no error would end the script.
prepare_vm() {
    vm=$IPENCAP_KERNEL_VM
    if ! is_built "$vm"; then
        vm=$target_dir/vm
        if ! is_built "$vm"; then
            mkdir -p "$vm"
            cp -rf "$IPENCAP_KERNEL_VM/." "$vm"
            # The guest's programs are taken from where this machine takes its own.
            timeout 300 apt-get -o Acquire::Retries=3 update -qq
        fi
    fi
}

is_built() { compgen -G "$1/kernel-*/initrd.cpio" >/dev/null; }
