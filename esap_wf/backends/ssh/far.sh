# What esap-wf runs at a place that it reaches by SSH: `sh far.sh VERB NONCE …`, data on stdin. POSIX sh, with
# tar, find, awk and setsid; /proc says which processes live.
#
#   BASE/.far/DIGEST.sh       this file
#   BASE/.in/KEY_…/           a piece that arrives: by (the process that receives it), pid (its wrapper)
#   BASE/KEY/                 a piece: pid, go (it may start), engine, rc, void (it never starts), run/ (its folder)
#
# An answer stands between two lines with the nonce: what a shell's start-up files print is not taken for one, nor
# is one that was cut off. Each verb may be repeated.
set -u
mask=$(umask)
umask 077
path=$PATH
PATH=$PATH:/usr/local/bin:/usr/bin:/bin
verb=$1 nonce=$2
shift 2
tab='	'
boot=-
{ read -r boot < /proc/sys/kernel/random/boot_id; } 2>/dev/null
host=$(uname -n)

# born PID: whether a process lives (a zombie doesn't); sets `started`, in ticks since the host was started
born() {
    started=
    { IFS= read -r line < "/proc/$1/stat"; } 2>/dev/null || return 1
    set -f
    set -- ${line##*) }
    set +f
    case ${1:-X} in [ZXx]) return 1 ;; esac
    [ $# -ge 20 ] || return 1
    shift 19
    started=$1
}

# lives FILE: whether the process that a file names lives here; sets `pid`, `node`
lives() {
    pid='' when='' since='' node=''
    { read -r pid when since node < "$1"; } 2>/dev/null || return 1
    [ "$node" = "$host" ] && [ "$since" = "$boot" ] && born "$pid" && [ "$started" = "$when" ]
}

# sign FILE: name this process in a file
sign() {
    born $$
    echo "$$ $started $boot $host" > "$1.new" && mv "$1.new" "$1"
}

# elsewhere KEY: whether a piece was started on another host that shares this folder; sets `node`
elsewhere() {
    lives "$base/$1/pid" && return 1
    [ -n "$node" ] && [ "$node" != "$host" ]
}

# remains KEY: living processes of a piece, but its wrapper: of its engine's session and group, or with its key
remains() {
    leader=0 birth=-
    { read -r leader birth < "$base/$1/engine"; } 2>/dev/null
    # a number that belongs to another process by now says nothing
    if born "$leader" && [ "$started" != "$birth" ]; then leader=0; fi
    {
        if [ "$leader" -gt 1 ]; then
            cat /proc/[0-9]*/stat 2>/dev/null | sed 's/^\([0-9]*\) (.*) /\1 /' |
                awk -v s="$leader" '($4 == s || $5 == s) && $2 !~ /^[ZXx]/ { print $1 }'
        fi
        for found in $(grep -l -F "ESAP_WF_PIECE=$1" /proc/[0-9]*/environ 2>/dev/null); do
            found=${found#/proc/} found=${found%/environ}
            tr '\0' '\n' 2>/dev/null < "/proc/$found/environ" | grep -q -x -F "ESAP_WF_PIECE=$1" && echo "$found"
        done
    } 2>/dev/null | sort -u
}

# sweep KEY: end what remains of a piece; whether nothing does
sweep() {
    round=0
    while rest=$(remains "$1") && [ -n "$rest" ]; do
        [ $round -lt 100 ] || return 1
        kill -s KILL $rest 2>/dev/null
        pause
        round=$((round + 1))
    done
}

pause() { sleep 0.02 2>/dev/null || sleep 1; }

# old PATH [MINUTES]: whether nothing was done to a folder for a while
old() { [ -n "$(find "$1" -prune -mmin "+${2:-1}" 2>/dev/null)" ]; }

# arriving KEY: whether a piece is on its way; what is left of one that isn't is removed, and can't start any more
arriving() {
    way=1
    for at in "$base/.in/$1"_*; do
        [ -d "$at" ] || continue
        if comes "$at"; then way=0; else away "$at"; fi
    done
    return $way
}

# comes PATH: whether a piece that arrives may yet start. What was sent off starts within a moment
comes() {
    lives "$1/pid" || lives "$1/by" && return
    [ -n "$node" ] && [ "$node" != "$host" ] && ! old "$1" 60 && return
    [ -e "$1/off" ] || [ ! -e "$1/by" ] && ! old "$1"
}

# away PATH: remove a folder; first from where it is seen
away() {
    gone=$base/.in/.away.$$.$nonce.${1##*/}
    mkdir -p "$base/.in" && mv "$1" "$gone" 2>/dev/null && remove "$gone"
}

remove() { rm -rf "$1" 2>/dev/null || { chmod -R u+rwX "$1" 2>/dev/null; rm -rf "$1" 2>/dev/null; }; }

# void KEY: see to it that a piece which was claimed and has not begun never begins; whether that is so
void() { mkdir "$base/$1/go" 2>/dev/null && : > "$base/$1/void"; }

# how KEY: sets `state` (starting, running, ended, gone, elsewhere) and `why`
how() {
    why='' state=gone
    if [ -e "$base/$1/rc" ]; then
        state=ended
    elif [ ! -d "$base/$1" ]; then
        why='the host has nothing of it'
        if arriving "$1"; then state=starting why='it is being started'; fi
        # it may have been claimed meanwhile
        [ ! -d "$base/$1" ] || { state=starting why='it is being started'; }
    elif [ -e "$base/$1/void" ]; then
        why='it was stopped before it began'
    elif [ ! -e "$base/$1/pid" ]; then
        state=starting why='it is being started'
        if old "$base/$1" && void "$1"; then state=gone why='its start was interrupted'; fi
    elif lives "$base/$1/pid"; then
        state=running
    elif [ -n "$node" ] && [ "$node" != "$host" ]; then
        state=elsewhere why="it was started on $node, and $host answers"
    elif [ -e "$base/$1/rc" ]; then
        state=ended
    elif [ "$since" != "$boot" ]; then
        why='the host was restarted'
    elif [ -n "$(remains "$1")" ]; then
        state=running why='the process that waits for its end was killed'
    elif [ -e "$base/$1/rc" ]; then
        state=ended
    else
        why='it was killed there'
    fi
}

keys() { while read -r key; do case $key in '' | .* | */*) ;; *) "$1" "$key" ;; esac; done; }

look() {
    how "$1"
    printf 'seen %s %s' "$1" "$state"
    if [ "$state" = ended ]; then
        { read -r code begun ended at; read -r _; read -r user system; } < "$base/$1/rc"
        printf ' %s %s %s %s %s %s' "$code" "$begun" "$ended" "$at" "${user:--}" "${system:--}"
    else
        printf ' - - - %s - -' "${node:-$host}"
    fi
    printf ' %s\n' "$why"
    node=
}

# strike SIGNAL WHOM KEY: once its engine is there
strike() {
    round=0
    while [ ! -e "$base/$3/engine" ] && [ $round -lt 50 ] && { how "$3"; [ "$state" = starting ] || [ "$state" = running ]; }; do
        pause
        round=$((round + 1))
    done
    { read -r leader birth < "$base/$3/engine"; } 2>/dev/null || return
    if born "$leader"; then [ "$started" = "$birth" ] || return; fi
    # `kill -TERM -- -NUMBER` is an error of dash
    if [ "$2" = group ]; then kill -s "$1" -- "-$leader"; else kill -s "$1" "$leader"; fi 2>/dev/null
}

# end KEY: all of a piece, for sure
end() {
    for at in "$base/.in/$1"_*; do
        [ -d "$at" ] || continue
        # who receives it is a group of its own, and so is its wrapper
        for file in by pid; do
            if lives "$at/$file"; then
                group=$(sed 's/^[0-9]* (.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d ' ' -f 3)
                [ -z "$group" ] || [ "$group" -le 1 ] || kill -s KILL -- "-$group" 2>/dev/null
            fi
        done
        away "$at"
    done
    # how it ended is written down when nothing of it lives
    [ -d "$base/$1" ] && [ ! -e "$base/$1/rc" ] || return
    void "$1"
    elsewhere "$1" && return
    sweep "$1"
    round=0
    while [ ! -e "$base/$1/rc" ] && lives "$base/$1/pid" && [ $round -lt 50 ]; do
        pause
        round=$((round + 1))
    done
    if [ ! -e "$base/$1/rc" ] && lives "$base/$1/pid"; then kill -s KILL "$pid" 2>/dev/null; fi
    sweep "$1"
}

forget() {
    how "$1"
    if [ "$state" = gone ]; then
        for at in "$base/.in/$1"_*; do [ ! -d "$at" ] || away "$at"; done
    fi
    case $state in
        gone | ended)
            if [ ! -d "$base/$1" ] || away "$base/$1"; then echo "forgotten $1"; else echo "stuck $1"; fi ;;
        *) echo "lives $1" ;;
    esac
}

# leave: when nothing is here any more, neither is this file, nor the folders that were made for it
leave() {
    for at in "$base"/*; do [ ! -e "$at" ] || return; done
    rm -rf "$base/.in"/.away.* 2>/dev/null
    for at in "$base/.in"/*; do [ ! -d "$at" ] || comes "$at" || away "$at"; done
    rmdir "$base/.in" 2>/dev/null || [ ! -e "$base/.in" ] || return
    top=
    { read -r top < "$base/.far/made"; } 2>/dev/null
    rm -rf "$base/.far"
    at=$base
    while [ -n "$top" ] && rmdir "$at" 2>/dev/null && [ "$at" != "$top" ]; do at=${at%/*}; done
}

# beating COMMAND…: say now and then that it goes on
beating() {
    ( while :; do sleep 5 > /dev/null 2>&1; echo beat; done ) &
    beat=$!
    "$@"
    kill "$beat" 2>/dev/null
}

# receive KEY: what arrives on stdin, then its wrapper in a session of its own, which may be the second one
receive() {
    if [ -d "$base/$1" ]; then echo old; return; fi
    for needed in tar find awk grep sed setsid bash; do
        command -v "$needed" > /dev/null || { echo "lacks $needed"; return; }
    done
    [ -r /proc/self/stat ] || { echo 'lacks /proc'; return; }
    in=$base/.in/$1_$$.$nonce
    if ! { mkdir -p "$base/.in" && mkdir "$in" && sign "$in/by" && cp "$0" "$in/far.sh"; } 2>/dev/null; then
        remove "$in"
        echo again
        return
    fi
    if ! tar -x -o -f - -C "$in" 2> "$in/error" || [ ! -e "$in/whole" ]; then
        said=$(tail -n 3 "$in/error" 2>/dev/null | tr '\n' ' ')
        # first: who says something to nobody is ended by it
        remove "$in"
        echo "failed $said"
        return
    fi
    # what is changed from now on was made there; the clock of a file system has ticks
    touch "$in/whole"
    pause
    : > "$in/off"
    # in the background it would ignore SIGINT, and its engine, too
    if setsid -f true 2>/dev/null; then
        setsid -f sh "$in/far.sh" wrap "$nonce" "$base" "$in" "$1" "$mask" < /dev/null > /dev/null 2>&1
    else
        setsid sh "$in/far.sh" wrap "$nonce" "$base" "$in" "$1" "$mask" < /dev/null > /dev/null 2>&1 &
    fi
    round=0
    while [ -d "$in" ] && [ $round -lt 500 ]; do pause; round=$((round + 1)); done
    if [ -d "$base/$1" ]; then echo new; else echo again; fi
}

# has DIGEST: whether a packed environment is here
has() { [ ! -e "$all/$1/.ready" ] || echo "has $1"; }

# environment DIGEST: a packed one arrives on stdin as tar.gz, and gets its name when all of it is here
environment() {
    for at in "$all/.$1".*; do if [ -d "$at" ] && old "$at" 120; then remove "$at"; fi; done
    new=$all/.$1.$$.$nonce
    if ! said=$(mkdir -p "$new" 2>&1 && tar -x -o -z -f - -C "$new" 2>&1); then
        remove "$new"
        printf 'failed %s\n' "$(printf %s "$said" | tail -n 3 | tr '\n' ' ')"
    elif mend "$new" "$all/$1"; then
        : > "$new/.ready"
        [ -e "$all/$1/.ready" ] || remove "$all/$1"
        mv "$new" "$all/$1" 2>/dev/null
        # another one was first: this one is inside of it
        remove "$all/$1/${new##*/}"
        if [ -e "$all/$1/.ready" ]; then echo here; else echo 'failed it could not be put in its place'; fi
    fi
    remove "$new"
}

# mend FOLDER NAME: an environment finds the Python of this host, and its programs find it under its name
mend() {
    for python in "$1"/lib/python3.*; do
        [ -d "$python" ] || break
        version=${python##*/}
        if [ ! -x "$1/bin/$version" ] && [ ! -x "$1/bin/python3" ]; then
            found=$(PATH=$path command -v "$version" || command -v "$version") || {
                remove "$1"
                echo "lacks $version"
                return 1
            }
            ln -s -f "$found" "$1/bin/$version"
            for link in python3 python; do ln -s -f "$version" "$1/bin/$link"; done
            if [ -e "$1/pyvenv.cfg" ]; then
                found=$(readlink -f "$found" || echo "$found")
                { echo "home = ${found%/*}"; grep -v '^home *=' "$1/pyvenv.cfg"; } > "$1/cfg.new"
                mv "$1/cfg.new" "$1/pyvenv.cfg"
            fi
        fi
    done
    for program in "$1"/bin/*; do
        [ -f "$program" ] && [ ! -L "$program" ] || continue
        line=
        { IFS= read -r line < "$program"; } 2>/dev/null
        case $line in
            # more than 127 bytes are no interpreter: installers write three lines
            '#!/bin/sh') sed "2s|^'''exec' .*/python[0-9.]*\"* |'''exec' \"$2/bin/python3\" |" ;;
            '#!/usr/bin/env'*) continue ;;
            '#!'*/python*)
                if [ ${#2} -lt 100 ]; then
                    sed "1s|.*|#!$2/bin/python3|"
                else
                    printf "#!/bin/sh\n'''exec' \"%s\" \"\$0\" \"\$@\"\n' '''\n" "$2/bin/python3"
                    tail -n +2
                fi ;;
            *) continue ;;
        esac < "$program" > "$1/program.new" && cat "$1/program.new" > "$program"
    done
    rm -f "$1/program.new"
}

# wrap BASE IN KEY UMASK: claim a piece, start it, write down how it ended
wrap() {
    base=$1 in=$2 dir=$1/$3
    sign "$in/pid" || exit
    if ! mkdir "$dir" 2>/dev/null; then
        remove "$in"
        exit
    fi
    if ! mv "$in/pid" "$dir/pid"; then
        rmdir "$dir"
        exit
    fi
    mv "$in/far.sh" "$in/start.sh" "$in/whole" "$in/run" "$dir/" && mkdir -p "$dir/run/logs" || exit
    [ ! -e "$in/secrets.sh" ] || mv "$in/secrets.sh" "$dir/" || exit
    if ! mkdir "$dir/go"; then
        rm -f "$dir/secrets.sh"
        exit
    fi
    remove "$in"
    read -r begun _ < /proc/uptime
    setsid sh "$dir/far.sh" engine - "$dir" "$4" < /dev/null >> "$dir/run/logs/engine.log" 2>&1
    code=$?
    read -r ended _ < /proc/uptime
    until sweep "$3"; do sleep 1; done
    { echo "$code $begun $ended $host"; times; } > "$dir/rc.new" && mv "$dir/rc.new" "$dir/rc"
}

# engine DIR UMASK: become the command of a piece
engine() {
    dir=$1 mask=$2
    born $$
    echo "$$ $started" > "$dir/engine.new" && mv "$dir/engine.new" "$dir/engine" || exit 126
    if [ -e "$dir/secrets.sh" ]; then
        . "$dir/secrets.sh"
        rm -f "$dir/secrets.sh"
    fi
    cd "$dir/run" || exit 126
    umask "$mask"
    . "$dir/start.sh"
    exec "$@"
}

# files PART MARK: what is pulled of the present folder; further names on stdin. Of results, what has changed since
# the mark: a link that was made here stands for what it leads to, wherever that is
files() {
    if [ "$1" = record ]; then
        for at in engine logs; do [ ! -d "$at" ] || find -L "./$at" -type f $print; done
        [ ! -d work ] || find -L ./work -maxdepth 3 -type f \
            \( -name .command.log -o -name .command.err -o -name .command.out -o -name .command.sh \) $print
    else
        newer="-cnewer $2/whole"
        find "$2/whole" -prune $newer > /dev/null 2>&1 || newer=
        for kind in '( -type f -o -type d -empty )' '-type l'; do
            if [ "$kind" = '-type l' ]; then what='-exec find -L {} -type f '$print' ;'; else what=$print; fi
            set -f
            find . \( -path ./code -o -path ./inputs -o -path ./work -o -path ./.snakemake -o -path ./.nextflow \) \
                -prune -o $kind $newer $what
            set +f
        done
    fi
    while IFS= read -r at; do
        case $at in
            '' | /* | .. | ../* | */.. | */../*) ;;
            */'*'.*) [ ! -d "${at%/*}" ] || find -L "./${at%/*}" -type f -name "${at##*/}" ! -path "./${at%/*}/*/*" $print ;;
            *) [ ! -e "$at" ] || find -L "./$at" -type f $print ;;
        esac
    done
}

pull() {
    if ! cd "$base/$1/run" 2>/dev/null; then
        if [ -d "$base/$1" ]; then echo empty; else how "$1"; [ "$state" = starting ] && echo empty || echo missing; fi
        return
    fi
    echo files
    if tar --version 2>/dev/null | grep -q GNU; then
        print=-print0
        files "$2" "$base/$1" 2>/dev/null | tar -c -h --hard-dereference --null -T - -f - 2>/dev/null
        # a file that changes meanwhile or can't be read is no harm; half of it all is no answer
        [ $? -le 2 ] || exit
    else
        print=-print
        files "$2" "$base/$1" 2>/dev/null | tar -c -h -T - -f - 2>/dev/null
    fi
}

case $verb in
    wrap) wrap "$@"; exit ;;
    engine) engine "$@" ;;
esac
base=$(cd -- "${0%/.far/*}" && pwd -P) || exit 2
all=${base%/*}/environments
printf '\nesap-wf-far %s %s %s\n' "$nonce" "$host" "$base"
case $verb in
    environments) keys has ;;
    environment) beating environment "$1" ;;
    start) receive "$1" ;;
    look) keys look; leave ;;
    signal) name=$1 whom=$2; struck() { strike "$name" "$whom" "$1"; }; keys struck; leave ;;
    kill) beating keys end; leave ;;
    pull) pull "$1" "$2"; leave ;;
    forget) beating keys forget; leave ;;
    survivors)
        for at in "$base/$1".* "$base/.in/$1".*; do
            [ -d "$at" ] || continue
            key=${at##*/}
            case $at in "$base"/.in/*) key=${key%%_*} ;; esac
            how "$key"
            case $state in starting | running | elsewhere) echo "lives $key" ;; esac
        done | sort -u
        leave ;;
esac
printf '\nesap-wf-end %s\n' "$nonce"
