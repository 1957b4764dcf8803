#!/usr/bin/env bash
# How much flash and RAM a tunnel adds to a small smoltcp firmware, which is built without one and with each choice.
#
#   sizes/measure.sh           checks the carriers in budgets.txt, and that four kilobytes more are noticed
#   sizes/measure.sh table     measures every choice, and writes src/guide/embedded.md's table, and what
#                              packets cost on the emulated Cortex-M4
set -euo pipefail
# A build that fails within a substitution ends the script.
shopt -s inherit_errexit
cd "$(dirname "$0")"
# shellcheck source=checks/embedded/targets.sh
. ../../../checks/embedded/targets.sh
# shellcheck source=examples/firmware/needs.sh
. ../needs.sh

targets=(thumbv7em-none-eabihf thumbv6m-none-eabi riscv32imc-unknown-none-elf)
guide=../../../src/guide/embedded.md
whole=device,follow-mtu,reassembly
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

program() { # TARGET
    local target_dir=${CARGO_TARGET_DIR:-../target}
    [ "${target_route[$1]}" = rustup ] || target_dir=target/debian
    echo "$target_dir/$1/release/ipencap-firmware-sizes"
}

# Flash and RAM of the firmware with these features. The values of `.data` are in both.
weigh() { # TARGET FEATURES
    cargo_for "$1" build --quiet --locked --release --features "$2" >&2
    size -A "$(program "$1")" | awk '
        $1 ~ /^\.(vector_table|text|rodata|data)/ { flash += $2 }
        $1 ~ /^\.(data|bss|uninit)/ { ram += $2 }
        END { print flash + 0, ram + 0 }'
}

# What the features add to the firmware with `without`.
added() { # TARGET FEATURES [WITHOUT]
    local with without
    without=$(weigh "$1" "${3:-}")
    with=$(weigh "$1" "$2")
    echo $((${with% *} - ${without% *})) $((${with#* } - ${without#* }))
}

judge() { # FIGURES
    awk '
        NR == FNR { if (!/^#/) { goal[$1, $2] = $3; budget[$1, $2] = $4 } next }
        {
            verdict = "ok"
            if (!(($1, $2) in budget)) { verdict = "IS NOT IN budgets.txt"; failed = 1 }
            else if ($3 > budget[$1, $2]) { verdict = "OVER ITS BUDGET"; failed = 1 }
            else if (goal[$1, $2] != "-" && $3 > goal[$1, $2]) verdict = "goal missed"
            printf "%-22s %-5s %6d bytes of flash, %5d of RAM  goal %5s  budget %5s  %s\n",
                $1, $2, $3, $4, goal[$1, $2], budget[$1, $2], verdict
        }
        END { exit failed }' budgets.txt "$1"
}

check() {
    local target carrier figures result=0
    prepare_targets "${targets[@]:0:2}"
    for target in "${targets[@]:0:2}"; do
        for carrier in ipip fou; do
            figures=$(added "$target" "$carrier,$whole")
            echo "$target $carrier $figures" >>"$folder/figures"
        done
    done
    judge "$folder/figures" || result=1
    figures=$(added "${targets[0]}" "ipip,$whole,plant-bytes")
    echo "${targets[0]} ipip $figures" >"$folder/planted"
    if judge "$folder/planted" >"$folder/control" || ! grep -q OVER "$folder/control"; then
        echo "FAILED: four kilobytes more pass, so this check proves nothing"
        result=1
    else
        echo "control: four kilobytes more are over the budget"
    fi
    return $result
}

row() { # TEXT FEATURES [WITHOUT]
    local target figures line="| $1 |" ram=""
    for target in "${targets[@]}"; do
        figures=$(added "$target" "$2" "${3:-}")
        line+=" ${figures% *} |"
        ram=${ram:-${figures#* }}
    done
    echo "$line $ram |" | tee -a "$folder/table"
}

table() {
    local target firmware="| the firmware without a tunnel |" ram=""
    prepare_targets "${targets[@]}"
    for target in "${targets[@]}"; do
        figures=$(weigh "$target" "")
        firmware+=" ${figures% *} |"
        ram=${ram:-${figures#* }}
    done
    {
        echo "| | Cortex-M4 | Cortex-M0+ | RV32IMC | RAM |"
        echo "|---|---:|---:|---:|---:|"
        echo "$firmware $ram |"
    } >"$folder/table"
    row "wrap only, IP-in-IP" ipip,send
    row "unwrap only, IP-in-IP" ipip,receive
    row "wrap and unwrap, IP-in-IP" ipip,send,receive
    row "wrap and unwrap, GRE" gre,send,receive
    row "wrap and unwrap, FOU" fou,send,receive
    row "wrap and unwrap, GUE" gue,send,receive
    row "**the device**, IP-in-IP" ipip,device
    row "device, IP-in-IP; the interface follows the path's MTU" ipip,device,follow-mtu
    row "**device, MTU and fragments**, IP-in-IP: outer fragments are joined" "ipip,$whole"
    row "the same, and a path is checked whose routers are silent" "ipip,$whole,path-check"
    row "device, MTU and fragments, GRE" "gre,$whole"
    row "device, MTU and fragments, FOU" "fou,$whole"
    row "device, MTU and fragments, GUE" "gue,$whole"
    row "the same for FOU, with \`Counters\` of everything" "fou,$whole,counters"
    row "the same for FOU, with \`defmt\`, which logs each event" "fou,$whole,defmt" defmt
    insert sizes "$folder/table"
    {
        echo '```text'
        (cd .. && cargo_for "${targets[0]}" run --quiet --locked --release) | sed -n '/^instructions/,/^all passed/p' | sed '$d'
        echo '```'
    } >"$folder/costs"
    insert costs "$folder/costs"
}

# Puts a file in place of what is between the guide's marks of this name.
insert() { # NAME FILE
    awk -v name="$1" -v file="$2" '
        index($0, "<!-- " name ": ") { print; while ((getline line < file) > 0) print line; skip = 1 }
        index($0, "<!-- end of " name " -->") { skip = 0 }
        !skip && !index($0, "<!-- " name ": ") { print }' "$guide" >"$folder/guide"
    cp "$folder/guide" "$guide"
}

case "${1:-check}" in
check | table)
    needs size binutils
    "${1:-check}"
    ;;
*)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
esac
