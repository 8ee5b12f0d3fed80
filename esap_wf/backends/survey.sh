# What a host is and has: read by `sh -s` from stdin, leaves nothing there. Lines of KEY, a tab, VALUE.
tell() { printf '%s\t%s\n' "$1" "$2"; }
within() {
    if command -v timeout > /dev/null; then timeout "$@" < /dev/null 2> /dev/null; else shift; "$@" < /dev/null 2> /dev/null; fi
}
# version_of PROGRAM DISTRIBUTION: from the metadata beside it; else what it prints
version_of() {
    at=$(readlink -f "$1" 2> /dev/null) || at=$1
    for program in "$1" "$at"; do
        for about in "${program%/*/*}/lib/"python3*"/site-packages/$2"-[0-9]*.dist-info; do
            [ -d "$about" ] || continue
            about=${about##*/"$2"-}
            echo "${about%.dist-info}"
            return
        done
    done
    case ${1##*/} in
        nextflow) NXF_OFFLINE=true NXF_ANSI_LOG=false within 30 "$1" -v ;;
        *) within 20 "$1" --version ;;
    esac | tr '\t\r' '  ' | grep '[0-9]' | head -n 1
}
memory() {
    limit=$(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
    tell memory $((limit * 1024))
    group=$(sed -n 's/^0:://p' /proc/self/cgroup 2> /dev/null)
    while :; do
        for file in "/sys/fs/cgroup$group/memory.max" /sys/fs/cgroup/memory/memory.limit_in_bytes; do
            { read -r limit < "$file"; } 2> /dev/null && tell memory "$limit"
        done
        [ -n "$group" ] && [ "$group" != / ] || break
        group=${group%/*}
    done
}
# All commands of the PATH: steps may call any. The first of a name is the one that is meant.
programs() {
    rest=$PATH:
    while [ -n "$rest" ]; do
        at=${rest%%:*} rest=${rest#*:}
        case $at in
            /*) for file in "$at"/*; do [ -f "$file" ] && [ -x "$file" ] && tell "program ${file##*/}" "$file"; done ;;
        esac
    done
}
survey() {
    PATH=@PATH@$PATH:/usr/local/bin:/usr/bin:/bin
    export PATH
    folder=@FOLDER@
    case $folder in /*) ;; *) folder=$(pwd -P)/$folder ;; esac
    printf '\nesap-wf-far @NONCE@ %s %s\n' "$(uname -n)" "$folder"
    while [ ! -d "$folder" ] && [ -n "$folder" ]; do folder=${folder%/*}; done
    tell system "$(uname -s) $(uname -r), $(uname -m)"
    tell cores "$(nproc 2> /dev/null || getconf _NPROCESSORS_ONLN)"
    { read -r load rest < /proc/loadavg; } 2> /dev/null && tell load "$load"
    memory
    tell disk "$(df -P -k "${folder:-/}" | awk 'NR == 2 { print $4 * 1024 }' OFMT=%.0f)"
    programs
    for runtime in @RUNTIMES@; do
        path=$(command -v "$runtime") || continue
        case $path in /*) tell "runtime $runtime" "$path $(version_of "$path" -)" ;; esac
    done
    @ENGINES@
    python=$(command -v python || command -v python3) && within 20 "$python" -c '
import sys
from importlib import metadata
for one in metadata.distributions(path=sys.path):
    try:
        print("python " + one.metadata["Name"], one.version, sep="\t")
    except Exception:
        pass
'
    printf '\nesap-wf-end @NONCE@\n'
}
# engine NAME DISTRIBUTION PROGRAM: of a path, or a command
engine() {
    path=$(command -v "$3") || return
    case $path in /*) tell "engine $1" "$path $(version_of "$path" "$2")" ;; esac
}
survey
