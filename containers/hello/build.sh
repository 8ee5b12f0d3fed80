#!/usr/bin/env bash
# Adds this machine's Python, its standard library and the shared libraries that they load to ROOT. No network.
# Usage: build.sh ROOT; PYTHON=… says which one, else /usr/bin/python3, else the first on PATH
set -euo pipefail
root=${1:?usage: build.sh ROOT}

fail() { echo "$0: $*" >&2; exit 1; }

python=${PYTHON:-/usr/bin/python3}
[ -x "$python" ] || python=$(command -v python3) || fail "there is no python3 here (Debian: python3-minimal and libpython3-stdlib)"
{ read -r program; read -r library; read -r dynamic; } < <("$python" -I -c '
import os, sys, sysconfig
print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
print(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix, "base": sys.base_prefix}))
print(os.path.join(sysconfig.get_config_var("DESTSHARED") or ""))')
[ -f "$library/os.py" ] || fail "$python has no standard library in $library (Debian: libpython3-stdlib)"

# in the same places, so that Python finds its library as it does here
install -D -m 755 "$program" "$root$program"
mkdir -p "$root$library"
tar -C "$library" -cf - --exclude=__pycache__ --exclude=test --exclude=tests --exclude=idlelib --exclude=tkinter --exclude=turtledemo \
    --exclude=ensurepip --exclude=lib2to3 --exclude=pydoc_data --exclude='config-*' --exclude=site-packages --exclude=dist-packages \
    --exclude='*.a' . | tar -C "$root$library" -xf -
[ -d "$root$dynamic" ] || { mkdir -p "$root$dynamic"; cp -a "$dynamic/." "$root$dynamic/"; }
find "$root$library" -type l ! -exec test -e {} \; -delete
while read -r shared; do
    [ -e "$root$shared" ] || install -D -m 755 "$(readlink -f "$shared")" "$root$shared"
done < <({ ldd "$program"; find "$root$dynamic" -name '*.so' -exec ldd {} \; 2>/dev/null; } | grep -oE '/[^ ):]+' | sort -u | grep -v "^$root")
[ "$program" = /usr/bin/python3 ] || ln -s "$program" "$root/usr/bin/python3"
ln -s python3 "$root/usr/bin/python"
