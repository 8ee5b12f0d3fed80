#!/usr/bin/env bash
# Fills ROOT with a root file system of BusyBox and bash, both from this machine. No network.
# Usage: build.sh ROOT
set -euo pipefail
root=${1:?usage: build.sh ROOT}

fail() { echo "$0: $*" >&2; exit 1; }

# a program under the name that it shall have inside, with the libraries that it loads
program() {
    local from=$1 to=$2 library
    install -D -m 755 "$(readlink -f "$from")" "$root/bin/$to"
    if ldd "$from" >/dev/null 2>&1; then
        while read -r library; do install -D -m 755 "$(readlink -f "$library")" "$root$library"; done < <(ldd "$from" | grep -oE '/[^ ]+')
    fi
}

busybox=$(command -v busybox) || fail "there is no busybox here (Debian: busybox-static)"
bash=$(command -v bash-static || command -v bash) || fail "there is no bash here (Debian: bash-static)"
mkdir -p "$root"/{bin,dev,etc,proc,root,run,sys,tmp,usr/bin,usr/local/bin,var/tmp}
chmod 1777 "$root/tmp" "$root/var/tmp"
program "$busybox" busybox
program "$bash" bash
# the places that scripts name in their first line
for applet in $("$busybox" --list | grep -vxE 'busybox|bash'); do ln -s busybox "$root/bin/$applet"; done
ln -s ../../bin/env "$root/usr/bin/env"
ln -s ../../bin/bash "$root/usr/bin/bash"
for wanted in awk cat date env grep ps sed sh sleep tail tee; do
    [ -e "$root/bin/$wanted" ] || fail "this busybox has no $wanted, which Nextflow needs to measure a step"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
