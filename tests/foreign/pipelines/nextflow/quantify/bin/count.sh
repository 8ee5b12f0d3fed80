#!/usr/bin/env bash
set -eu
wc -l < "$1"
shift
for reads in "$@"; do
  echo "$(basename "$reads") $(grep -c '^@' "$reads")"
done
