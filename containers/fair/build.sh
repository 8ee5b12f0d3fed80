#!/usr/bin/env bash
# Adds the packages of a Python environment, compiled, and the shared libraries that they load to ROOT. No network.
# Usage: PYTHON=ENVIRONMENT/bin/python build.sh ROOT
set -euo pipefail
root=${1:?usage: PYTHON=ENVIRONMENT/bin/python build.sh ROOT}

fail() { echo "$0: $*" >&2; exit 1; }

python=${PYTHON:-}
[ -x "$python" ] || fail "PYTHON is not the Python of an environment with the packages of workflows/fair/requirements.txt: esap-wf software build fair"
{ read -r library; read -r packages; read -r place; } < <("$python" -I -c '
import subprocess, sys, sysconfig
print(sysconfig.get_path("stdlib"))
print(sysconfig.get_path("purelib"))
asked = [getattr(sys, "_base_executable", sys.executable), "-I", "-c", "import site; print(site.getsitepackages()[0])"]
print(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())')
[ -d "$packages/uproot" ] || fail "$python has no uproot in $packages"
[ -f "$root$library/os.py" ] || fail "there is no $root$library: hello/build.sh is run before, with the same PYTHON"

# where Python without an environment looks for packages
mkdir -p "$root$place"
tar -C "$packages" -cf - --exclude=__pycache__ --exclude='./pip*' --exclude='./setuptools*' --exclude=./pkg_resources --exclude='./_distutils_hack' \
    --exclude=./distutils-precedence.pth --exclude='*.pyi' . | tar -C "$root$place" -xf -
while read -r shared; do
    [ -e "$root$shared" ] || install -D -m 755 "$(readlink -f "$shared")" "$root$shared"
done < <(find "$packages" -name '*.so' -exec ldd {} \; 2>/dev/null | grep -oE '/[^ ):]+' | sort -u | grep -v "^$packages")
# each step is a Python of its own, in an image that it can't write to; the times of its files say nothing
"$python" -I -m compileall -q --invalidation-mode unchecked-hash -x '/tests?/' -s "$root" "$root$library" "$root$place" || fail "the packages can't be compiled"
