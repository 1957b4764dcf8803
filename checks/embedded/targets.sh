# shellcheck shell=bash
# Sourced, not run: building for targets that may not be installed.
#
#   prepare_targets TARGET...         installs what is missing
#   cargo_for TARGET ARGUMENT...      cargo, with what this target needs

declare -A target_route

prepare_targets() {
    local target
    for target; do
        target_route[$target]=rustup
        if [ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
            continue
        fi
        if command -v rustup >/dev/null && timeout 120 rustup target add "$target"; then
            continue
        fi
        echo "rustup cannot add $target; taking the distribution's compiler" >&2
        target_route[$target]=debian
    done
    case " ${target_route[*]} " in *" debian "*) install_debian_route ;; esac
}

# Debian's compiler comes with the source of `core`, so it needs no component for a target.
install_debian_route() {
    if [ -x /usr/bin/cargo ] && compgen -G "/usr/src/rustc-*/library" >/dev/null &&
        command -v ld.lld-22 >/dev/null; then
        return
    fi
    timeout 300 apt-get -o Acquire::Retries=3 update -qq
    timeout 600 apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends \
        rustc-web cargo-web rust-web-src lld-22
}

cargo_for() {
    local target=$1 variable
    shift
    if [ "${target_route[$target]}" = rustup ]; then
        cargo "$@" --target "$target"
        return
    fi
    variable=${target^^}
    env RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc \
        "CARGO_TARGET_${variable//-/_}_LINKER=ld.lld-22" \
        RUSTFLAGS="-Clinker-flavor=ld.lld ${RUSTFLAGS:-}" \
        /usr/bin/cargo "$@" --target "$target" -Zbuild-std=core \
        --target-dir "${CARGO_TARGET_DIR:-target}/debian"
}
