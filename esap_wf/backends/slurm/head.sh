# An engine as a batch job, in its run directory. Before these lines stand, as variables: folder, epoch,
# command (an array) and drain (a signal, or nothing).
# It does what a keeper does for an engine of this kind elsewhere: it passes signals on, gives signs of life,
# ends what was given up and writes how the engine has ended. Exit codes of its own: 91 the node does not see
# the run directory, 92 it can't write there or read the engine's environment, 93 the engine was given up.
set -u
cd -- "$folder" 2>/dev/null || {
    echo "esap-wf: $(uname -n) does not see $folder, in which the run works" >&2
    exit 91
}
void=engine/$epoch.void beat=engine/$epoch.beat given=engine/$epoch.environment
[ ! -e "$void" ] || exit 93
# without it the engine would find another sbatch, and submit jobs that nobody knows as the run's
[ -r "$given" ] || [ -e "engine/$epoch.started" ] || {
    echo "esap-wf: job ${SLURM_JOB_ID:-0} ends: $given is not there, or can't be read" >&2
    exit 92
}
if ! (set -o noclobber; printf '%s %s\n' "${SLURM_JOB_ID:-0}" "$(uname -n)" > "engine/$epoch.started") 2>/dev/null; then
    [ -e "engine/$epoch.started" ] || exit 92
    echo "esap-wf: job ${SLURM_JOB_ID:-0} ends: this engine has been started before" >&2
    exit 0
fi

engine= drained=false
# pass SIGNAL: to the engine alone
pass() { [ -z "$engine" ] || kill -s "$1" -- "$engine" 2>/dev/null; }
# pass_all SIGNAL: to all of its group
pass_all() { [ -z "$engine" ] || kill -s "$1" -- "-$engine" 2>/dev/null; }
# Slurm says that the time is almost over
hand_over() {
    if [ -n "$drain" ]; then
        drained=true
        echo "esap-wf: the time of job ${SLURM_JOB_ID:-0} is almost over: no more jobs are started"
        pass "$drain"
    fi
}
for name in HUP INT QUIT TERM USR1; do trap "pass $name" "$name"; done
trap hand_over USR2
# a signal comes here alone, so another one says that it is for all
trap "pass_all TERM" ALRM
trap "pass_all INT" VTALRM
trap "pass_all USR1" PROF

# what the site has set up for this job
scratch=${TMPDIR-}
# with job control it is a group of its own, and does not ignore SIGINT
set -m
{
    trap - HUP INT QUIT TERM USR1 USR2 ALRM VTALRM PROF
    # nothing of this job: an engine that submits jobs would hand its variables on to them
    for name in $(compgen -e); do unset "$name" 2>/dev/null; done
    while IFS= read -r -d '' name; do export "$name"; done < "$given"
    [ -z "$scratch" ] || export TMPDIR="$scratch"
    rm -f "$given"
    unset name scratch
    exec "${command[@]}"
} < /dev/null >> logs/engine.log 2>&1 &
engine=$!
{
    trap - HUP INT QUIT TERM USR1 USR2 ALRM VTALRM PROF
    while sleep 5; do
        : > "$beat"
        if [ -e "$void" ]; then
            echo "esap-wf: a later owner has given up this engine: it is ended" >> logs/engine.log
            kill -s KILL -- "-$engine" 2>/dev/null
        fi
    done
} &
watch=$!
set +m
while kill -0 "$engine" 2>/dev/null; do wait "$engine"; done
wait "$engine"
code=$?
kill -s KILL -- "-$watch" 2>/dev/null
rm -f "$given"
# nothing of it works on when its end is known
kill -s KILL -- "-$engine" 2>/dev/null
[ ! -e "$void" ] || exit 93
# as the shell says it: 128 and the signal that has ended it
ended=$code
[ "$code" -le 128 ] || [ "$code" -gt 192 ] || ended=$((128 - code))
cpu=0
LC_ALL=C
# in a subshell it would be of that
times > "engine/$epoch.exit.new" && { read -r _ && read -r used; } < "engine/$epoch.exit.new"
if [[ ${used-} =~ ^([0-9]+)m([0-9]+)[.]([0-9]+)s\ ([0-9]+)m([0-9]+)[.]([0-9]+)s ]]; then
    m=("${BASH_REMATCH[@]}")
    cpu=$((10#${m[1]} * 60000 + 10#${m[2]} * 1000 + 10#${m[3]} + 10#${m[4]} * 60000 + 10#${m[5]} * 1000 + 10#${m[6]}))
fi
printf '{"schema_version":1,"exit_code":%d,"cpu_seconds":%d.%03d,"max_rss_bytes":0,"orphans":true,"drained":%s}' \
    "$ended" $((cpu / 1000)) $((cpu % 1000)) "$drained" > "engine/$epoch.exit.new" || exit 92
mv -f "engine/$epoch.exit.new" "engine/$epoch.exit.json" || exit 92
exit "$code"
