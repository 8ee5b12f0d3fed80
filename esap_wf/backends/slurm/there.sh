# Starts the command of a piece once, and writes down how it ended. What is in `dir`, its sandbox:
#   run/      the piece's folder, in which it works        start.sh  sets its variables and its command
#   started/  made by who begins with it, once for ever    ending/   becomes over/ when it has ended
#   signals/  signals that are for all that it has started kill      all of it is to end
# Exit codes of its own: 91 the node does not see the sandbox, 92 it can't write there, 93 it was begun before.
set -u
mask=$(umask)
umask 077
cd -- "$dir" 2>/dev/null || exit 91
if ! mkdir started 2>/dev/null; then
    [ -d started ] || exit 92
    echo "${SLURM_JOB_ID:-0} ${SLURM_RESTART_COUNT:-0}" >> again
    exit 93
fi
# room for what is written at the end, on a disk that may be full by then
{
    mkdir ending && printf '%-512s\n' '' > ending/exit &&
        echo "${SLURM_JOB_ID:-0} $(uname -n)" > started/by.new && mv started/by.new started/by
} 2>/dev/null || exit 92

# remains: processes of the piece that live
remains() {
    grep -l -z -x -F "ESAP_WF_PIECE=$key" /proc/[0-9]*/environ 2>/dev/null | sed 's|^/proc/||; s|/environ$||'
}

sweep() {
    local round rest
    for round in {1..200}; do
        rest=$(remains)
        [ -n "$rest" ] || return 0
        kill -s KILL $rest 2>/dev/null
        sleep 0.05
    done
}

# pass SIGNAL: to the engine, or to its group if that is asked for
pass() {
    local asked whom=$engine
    for asked in signals/"$1".*; do
        [ -e "$asked" ] || continue
        rm -f "$asked"
        whom=-$engine
    done
    for asked in *; do
        if [ "$asked" = kill ]; then
            sweep
            return
        fi
    done
    if [ -n "$engine" ]; then kill -s "$1" -- "$whom" 2>/dev/null; fi
}

engine=
for name in HUP INT QUIT USR1 USR2 ALRM TERM; do trap "pass $name" "$name"; done
read -r begun _ < /proc/uptime
# with job control it is a group of its own, and does not ignore SIGINT
set -m
{
    trap - HUP INT QUIT USR1 USR2 ALRM TERM
    if [ -e secrets.sh ]; then
        . ./secrets.sh
        rm -f secrets.sh
    fi
    cd run || exit 126
    umask "$mask"
    . ../start.sh
    exec "$@"
} < /dev/null >> run/logs/engine.log 2>&1 &
engine=$!
while kill -0 "$engine" 2>/dev/null; do wait "$engine"; done
wait "$engine"
code=$?
sweep
read -r ended _ < /proc/uptime
times > used 2>/dev/null
# what must be seen before the results are taken
cd run && find . \( -path ./code -o -path ./inputs -o -path ./work -o -path ./.snakemake -o -path ./.nextflow \) -prune \
    -o -type f -cnewer ../whole -printf '%s %p\0' > ../made.new 2>/dev/null && mv ../made.new ../made
cd "$dir" || exit 91
{ read -r _; read -r user system; } < used 2>/dev/null
printf '%s %s %s %s %s %s\n' "$code" "$begun" "$ended" "$(uname -n)" "${user:--}" "${system:--}" 1<> ending/exit
mv -T ending over 2>/dev/null
exit "$code"
