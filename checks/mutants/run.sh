#!/usr/bin/env bash
# Changes the library in one small way after another and asks the tests whether they notice. A mutant that none
# notices stands in survivors.txt, with the reason why none can or need, or this fails.
#
#   checks/mutants/run.sh               all of src/: hours
#   checks/mutants/run.sh FILE...       the mutants of these files
#   checks/mutants/run.sh control       in a minute: mutants that the tests asked do not notice are reported
#
# Four rounds, each for what the one before has left: the quickest tests and quick ones, then, for what survivors.txt
# does not explain, those that notice most, and all of them. Caught mutants are kept in target/mutants/, so that a
# second run goes on where the first one was stopped; remove it to begin anew. JOBS mutants are tested side by side,
# 2 if not set.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=27.1.0
export PATH=$PWD/target/tools/bin:$PATH
if [ "$(cargo mutants --version 2>/dev/null)" != "cargo-mutants $version" ]; then
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        timeout 1800 cargo install --quiet --locked --force --root target/tools cargo-mutants --version "$version"
fi

# It sets the folder itself. Most of a mutant's time is the compiler's.
unset CARGO_TARGET_DIR
export CARGO_PROFILE_TEST_DEBUG=none CARGO_PROFILE_DEV_DEBUG=none CARGO_PROFILE_TEST_OPT_LEVEL=0
here=checks/mutants
output=target/mutants
survivors=$here/survivors.txt
quickest=(composition errors prefix_table rules traps vectors views)
quick=(foreign_outer hostile kernel peers tables trains)

begin() {
    mkdir -p $output
    : >$output/explained.txt
    excluded=()
}
# One round over FILES, without the mutants that are `excluded`; with all tests where none is named.
mutate() { # [TEST...]
    local code=0
    cargo mutants --config $here/mutants.toml --output $output --jobs "${JOBS:-2}" --colors never \
        --no-times --iterate "${files[@]}" "${excluded[@]/#/--exclude-re=}" "${@/#/--cargo-arg=--test=}" || code=$?
    # 2: some are missed; 3: some made a test hang, which is noticed. Anything else is no result.
    case $code in 0 | 2 | 3) ;; *) exit $code ;; esac
}

# The mutants that no test noticed, without lines and columns, which every change moves: how many, and which.
missed() {
    sort -u $output/mutants.out/missed.txt $output/explained.txt | sed -E 's/:[0-9]+:[0-9]+: /: /' | sort | uniq -c |
        sed -E 's/^ *([0-9]+) /\1 /' | sort
}
# The explained ones of FILE..., or all, in the same form.
explained() { # [FILE...]
    sed -E '/^(#|$)/d; s/ \| [^|]*$//' $survivors | if [ $# -gt 0 ]; then
        grep -F "$(printf '%s: \n' "$@")" || true
    else
        cat
    fi | sort
}
# Takes those that are missed just as often as is explained out of the rounds to come.
exclude_explained() { # [FILE...]
    awk 'NR == FNR { sub(/^[0-9]+ /, ""); explained[$0]; next }
        { mutant = $0; sub(/:[0-9]+:[0-9]+: /, ": ", mutant) } mutant in explained' \
        <(comm -12 <(missed) <(explained "$@")) $output/mutants.out/missed.txt >$output/excluded.txt
    mv $output/excluded.txt $output/explained.txt
    # shellcheck disable=SC2016 # no expansions, but regular expressions
    mapfile -t excluded < <(sed -E 's/[][\\.*^$()+?{}|]/\\&/g; s/^.*$/^&$/' $output/explained.txt)
}
judge() { # [FILE...]
    local unexplained stale
    unexplained=$(comm -23 <(missed) <(explained "$@"))
    stale=$(comm -13 <(missed) <(explained "$@"))
    [ -z "$unexplained" ] || printf 'FAILED: no test notices, and %s does not say why\n%s\n' $survivors "$unexplained"
    [ -z "$stale" ] || printf 'FAILED: %s explains what does not survive so often\n%s\n' $survivors "$stale"
    [ -z "$unexplained$stale" ]
}

if [ "${1:-}" = control ]; then
    output=target/mutants-control
    rm -rf $output
    begin
    files=(--file src/wire/protocol.rs)
    mutate architecture
    if judge src/wire/protocol.rs >/dev/null; then
        echo "FAILED: mutants that no test was asked about pass, so this check proves nothing"
        exit 1
    fi
    echo "control: $(missed | wc -l) kinds of mutants that the test asked does not notice are reported"
    exit
fi

files=()
for file; do
    [ -f "$file" ] || { sed -n 's/^#   //p' "$here/run.sh" >&2; exit 2; }
    files+=(--file "$file")
done
begin
mutate "${quickest[@]}"
mutate "${quick[@]}"
exclude_explained "$@"
mutate golden laws
mutate
judge "$@"
echo "every mutant is noticed, or explained"
