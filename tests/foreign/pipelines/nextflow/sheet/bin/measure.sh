#!/usr/bin/env bash
set -eu
printf 'reads\t%s\nmin_length\t%s\nstrandedness\t%s\n' "$(grep -c '^@' "$1")" "$2" "$3"
