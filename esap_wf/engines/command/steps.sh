#!/usr/bin/env bash
# One command after the other. What has ended well is not repeated (engine/steps/);
# the end of each is written to $STEPS_TOLD.
set -uo pipefail
stopped=
trap 'stopped=1' TERM  # the step at work ends first, and counts
here=$PWD
run=${ESAP_WF_RUN:-none} engine=${ESAP_WF_ENGINE:-none}
told=${STEPS_TOLD:-/dev/null}
mkdir -p engine/steps logs outputs

step() {
    local number=$1 name=$2 folder=$3 code=0
    shift 3
    [ -e "engine/steps/$number" ] && return
    [ -n "$stopped" ] && exit 143
    echo "step $name: logs/$name.log"
    printf '%s\tstart\t%s\t\n' "${EPOCHREALTIME:-$(date +%s)}" "$name" >>"$told"
    (cd -- "$folder" && exec "$@") >"logs/$name.log" 2>&1 || code=$?
    printf '%s\tend\t%s\t%s\n' "${EPOCHREALTIME:-$(date +%s)}" "$name" "$code" >>"$told"
    if [ "$code" -ne 0 ]; then
        tail -n 20 -- "logs/$name.log"
        exit "$code"
    fi
    : >"engine/steps/$number"
}
