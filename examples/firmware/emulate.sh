#!/usr/bin/env bash
# Runs a program on an emulated board: what `cargo run` calls.
#
#   ./emulate.sh BOARD PROGRAM
#
# BOARD is mps2-an386 (Cortex-M4), microbit (Cortex-M0) or virt (RISC-V). The program's exit status is this one's; 124 is
# a program that did not end.
set -euo pipefail

if [ $# -ne 2 ]; then
    sed -n 's/^#   //p' "$0" >&2
    exit 2
fi
case $1 in
mps2-an386 | microbit) qemu=qemu-system-arm package=qemu-system-arm machine=(-machine "$1") ;;
virt) qemu=qemu-system-riscv32 package=qemu-system-misc machine=(-machine virt -bios none) ;;
*)
    echo "no board '$1': there are mps2-an386, microbit and virt" >&2
    exit 2
    ;;
esac
if ! command -v $qemu >/dev/null; then
    echo "$qemu, which emulates the board $1, is not installed. On Debian and Ubuntu: apt-get install $package" >&2
    exit 127
fi
# `-icount shift=0`: an instruction takes a nanosecond of the board's time, so its timers count instructions.
exec timeout "${FIRMWARE_TIMEOUT:-120}" $qemu "${machine[@]}" -nographic -monitor none -serial none -icount shift=0 \
    -semihosting-config enable=on,target=native -kernel "$2" </dev/null
