#!/usr/bin/env bash
# A daemon of a cluster as process 1 of its own pid namespace: piece.sh HOSTNAME CONFIGURATION HIDDEN PROGRAM ARGUMENT …
# CONFIGURATION, a folder, lies over /etc/slurm here: Snakemake's job steps drop every SLURM_* variable.
# The folder HIDDEN, if it is not empty, can't be seen. When this ends, the kernel ends all that is in the namespace.
# It is told by its standard input: "start" starts the program (anew); the end of input, which comes even if the tests are killed, asks the program to end.
hostname "$1"
mount --bind "$2" /etc/slurm && mount --bind "$2/hosts" /etc/hosts || exit 1
[ -z "$3" ] || mount -t tmpfs -o size=1m,mode=1777 tmpfs "$3" || exit 1
shift 3
main=
while read -r word; do
    if [ "$word" = start ]; then
        "$@" </dev/null &
        main=$!
    fi
done
[ -z "$main" ] || ! kill "$main" 2>/dev/null || wait "$main"
