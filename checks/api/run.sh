#!/usr/bin/env bash
# Lists the public interface, with all features, and compares it with baseline.txt.
#
#   checks/api/run.sh           fails if they differ
#   checks/api/run.sh accept    makes the interface of today the baseline
#
# rustdoc's JSON is not stable: this toolchain writes the form that the locked `public-api` reads.
# A control hides a function in a copy, which must fail.
set -euo pipefail
cd "$(dirname "$0")"

toolchain=1.95.0
if [[ "$(rustc --version)" == "rustc $toolchain "* ]]; then
    cargo=(cargo)
else
    rustc "+$toolchain" --version >/dev/null 2>&1 ||
        timeout 300 rustup toolchain install "$toolchain" --profile minimal --no-self-update
    cargo=(cargo "+$toolchain")
fi
target_dir=${CARGO_TARGET_DIR:-$PWD/../../target}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${cargo[@]}" build --quiet --locked --target-dir "$target_dir"

interface() { # CRATE [OPTION...]
    RUSTC_BOOTSTRAP=1 "${cargo[@]}" rustdoc --quiet -p ipencap --lib --all-features \
        --manifest-path "$1/Cargo.toml" "${@:2}" --target-dir "$target_dir/rustdoc" -- \
        -Zunstable-options --output-format json
    "$target_dir/debug/ipencap-api" "$target_dir/rustdoc/doc/ipencap.json"
}

interface ../.. --locked >"$folder/interface.txt"
case "${1:-}" in
accept)
    cp "$folder/interface.txt" baseline.txt
    echo "baseline.txt is the interface of today; CHANGELOG.md has to name what changed"
    exit
    ;;
"") ;;
*)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac

result=0
if diff -U0 --label baseline.txt --label now baseline.txt "$folder/interface.txt"; then
    echo "the interface is that of baseline.txt: $(wc -l <baseline.txt) items"
else
    echo "FAILED: the interface differs from baseline.txt. If that is meant: checks/api/run.sh accept,"
    echo "and CHANGELOG.md names the change in the same commit."
    result=1
fi

mkdir -p "$folder/copy/tests"
cp -r ../../Cargo.toml ../../Cargo.lock ../../src "$folder/copy"
cp -r ../../tests/kit "$folder/copy/tests"
sed -i '/^\[workspace\]/,/^$/d' "$folder/copy/Cargo.toml"
sed -i 's/pub const fn end(/const fn end(/' "$folder/copy/src/packet/mod.rs"
interface "$folder/copy" >"$folder/hidden.txt"
if diff -U0 "$folder/interface.txt" "$folder/hidden.txt" >"$folder/control"; then
    echo "FAILED: a function that is not public any more makes no difference, so this check proves nothing"
    result=1
elif ! grep -q '^-.*packet::Span::end' "$folder/control"; then
    echo "FAILED: the control did not run: $(head -3 "$folder/control")"
    result=1
else
    echo "control: a function that is not public any more is missed"
fi
exit $result
