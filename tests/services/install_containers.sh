#!/usr/bin/env bash
# Gets the container runtimes that the tests use: Podman, Docker and runc from apt; Apptainer and PRoot from Debian's unstable
# packages, unpacked into a folder of its own (nothing of the system is replaced); udocker from PyPI into an environment of its own.
# PRoot is for udocker: the one of Debian 12 (5.1) can't list a directory for programs of glibc 2.33 and later.
# What is there already is left alone, so a second call is quick. What can't be got is said; its tests are skipped by name.
# Usage: install_containers.sh [FOLDER]
set -uo pipefail
here=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/esap-wf-tests/containers}
mkdir -p "$here"
say() { echo "containers: $*" >&2; }

from_apt() {
    local wanted=() absent=()
    declare -A packages=(
        [podman]=podman [buildah]=buildah [runc]=runc [dockerd]=docker.io [docker]=docker.io [mksquashfs]=squashfs-tools
        [newuidmap]=uidmap [fuse-overlayfs]=fuse-overlayfs [squashfuse]=squashfuse [patchelf]=patchelf [bash-static]=bash-static
    )
    for command in "${!packages[@]}"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null || wanted+=("${packages[$command]}")
    done
    # a busybox that is not static is no use inside an image without libraries; catatonit hands signals on in Podman's containers
    dpkg-query -W -f '${Status}' busybox-static 2>/dev/null | grep -q 'ok installed' || wanted+=(busybox-static)
    dpkg-query -W -f '${Status}' catatonit 2>/dev/null | grep -q 'ok installed' || wanted+=(catatonit)
    [ ${#wanted[@]} -eq 0 ] && return 0
    mapfile -t absent < <(printf '%s\n' "${wanted[@]}" | sort -u)
    command -v apt-get >/dev/null || { say "no apt-get here: get ${absent[*]} by other means"; return 1; }
    [ "$(id -u)" -eq 0 ] || { say "not root: ask for apt-get install ${absent[*]}"; return 1; }
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update || say "the package lists could not be read anew"
    # services of the packages are not started: the tests start what they need
    printf '#!/bin/sh\nexit 101\n' > "$here/policy-rc.d"
    local policy=/usr/sbin/policy-rc.d made=
    [ -e $policy ] || { install -m 755 "$here/policy-rc.d" $policy; made=1; }
    apt-get -qq -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 install --no-install-recommends "${absent[@]}" >"$here/apt.log" 2>&1
    local code=$?
    [ -n "$made" ] && rm -f $policy
    [ $code -eq 0 ] || { say "apt-get failed:"; tail -5 "$here/apt.log" >&2; return 1; }
}

apptainer_from_unstable() {
    "$here/apptainer/bin/apptainer" --version >/dev/null 2>&1 && "$here/apptainer/bin/proot" --version >/dev/null 2>&1 && return 0
    command -v apt-get >/dev/null && command -v patchelf >/dev/null || { say "no apt-get or no patchelf: no Apptainer"; return 1; }
    local mirror work new=$here/apptainer.new
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -1)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' RETURN
    (
        set -e
        cd "$work"
        mkdir -p lists/partial cache/archives/partial etc x lib
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} sid main" > sources.list
        cat > apt.conf <<CONF
Dir::Etc::sourcelist "$work/sources.list"; Dir::Etc::sourceparts "-"; Dir::State::lists "$work/lists";
Dir::Cache "$work/cache"; Dir::State::status "/dev/null"; APT::Sandbox::User "root";
CONF
        export APT_CONFIG=$work/apt.conf
        apt-get -qq update
        # its own libc: unstable's is newer than that of the distribution in use
        apt-get -qq download apptainer proot libc6 libseccomp2 libsqlite3-0 libtalloc2
        dpkg -x apptainer_*.deb x
        dpkg -x proot_*.deb x
        for package in libc6_*.deb libseccomp2_*.deb libsqlite3-0_*.deb libtalloc2_*.deb; do dpkg -x "$package" lib; done
        rm -rf "$new"
        mkdir -p "$new/lib/own" "$new/var/lib/apptainer/mnt/session" "$new/lib/var/lib/apptainer/mnt/session"
        cp -a x/usr/. "$new/"
        cp -a x/etc "$new/etc"
        for name in libc.so.6 libseccomp.so.2 libsqlite3.so.0 libresolv.so.2 libpthread.so.0 libm.so.6 libdl.so.2 libtalloc.so.2 'ld-linux-*.so.*'; do
            find lib -name "$name" -exec cp -L {} "$new/lib/own/" \;
        done
        # the final place is written into the programs; the folder is renamed when it is complete
        loader=$(basename "$(ls "$new"/lib/own/ld-linux-*)")
        for program in "$new/bin/apptainer" "$new/bin/proot" "$(find "$new/lib" -path '*/apptainer/bin/starter')"; do
            patchelf --set-interpreter "$here/apptainer/lib/own/$loader" --force-rpath --set-rpath "$here/apptainer/lib/own" "$program"
        done
        ln -s ../etc "$new/lib/etc"  # where it looks when the user is not root
        rm -rf "$here/apptainer"
        mv "$new" "$here/apptainer"
        "$here/apptainer/bin/apptainer" --version >/dev/null
    ) >"$here/apptainer.log" 2>&1 || { say "no Apptainer:"; tail -5 "$here/apptainer.log" >&2; return 1; }
}

udocker_from_pypi() {
    [ -x "$here/udocker/bin/udocker" ] && "$here/udocker/bin/udocker" --allow-root --version >/dev/null 2>&1 && return 0
    rm -rf "$here/udocker"
    { python3 -m venv "$here/udocker" && "$here/udocker/bin/pip" -q install --disable-pip-version-check "udocker==1.3.17"; } \
        >"$here/udocker.log" 2>&1 || { say "no udocker:"; tail -5 "$here/udocker.log" >&2; rm -rf "$here/udocker"; return 1; }
}

exec 9>"$here/.lock"
flock 9
failed=0
from_apt || failed=1
apptainer_from_unstable || failed=1
udocker_from_pypi || failed=1
exit $failed
