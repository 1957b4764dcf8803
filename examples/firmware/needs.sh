# shellcheck shell=bash
# Sourced, not run: installs what is missing.
#
#   needs COMMAND PACKAGE    Debian's package for a command, unless there is one

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# In a condition nothing stops at the first error, so this says itself whether it has passed.
needs() {
    command -v "$1" >/dev/null && return
    as_root timeout 300 apt-get -o Acquire::Retries=3 update -qq
    as_root timeout 600 apt-get -o Acquire::Retries=3 install -qq -y --no-install-recommends "$2"
}
