#!/usr/bin/env bash
# Gets the real engines and container runtimes that the tests use; quick if all is there. What can't be got is said: its tests are skipped
# by name, and in CI a skip fails. Usage: install.sh PYTHON (the one that has esap-wf).
set -uo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
say() { echo "services: $*" >&2; }

missing=()
command -v java >/dev/null || missing+=(default-jre-headless)
command -v mvn >/dev/null || missing+=(maven)
for program in git zsh fish; do command -v $program >/dev/null || missing+=($program); done
[ -x /usr/sbin/sshd ] || missing+=(openssh-server)
command -v ssh >/dev/null || missing+=(openssh-client)
command -v unshare >/dev/null || missing+=(util-linux)
for package in slurmctld slurmd slurmdbd; do command -v $package >/dev/null || missing+=($package); done
command -v sbatch >/dev/null || missing+=(slurm-client)
command -v munged >/dev/null || missing+=(munge)
command -v mariadbd >/dev/null || missing+=(mariadb-server)
compgen -G '/usr/lib/*/slurm-wlm/accounting_storage_mysql.so' >/dev/null || missing+=(slurm-wlm-mysql-plugin)
if [ ${#missing[@]} -gt 0 ]; then
    if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
        export DEBIAN_FRONTEND=noninteractive
        # no package starts its daemons: the tests start their own
        policy=/usr/sbin/policy-rc.d
        [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap 'rm -f $policy' EXIT; }
        apt-get -qq update || say "the package lists could not be read anew"
        apt-get -qq -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}" >/dev/null || say "apt-get failed for ${missing[*]}"
    else
        say "ask for ${missing[*]}"
    fi
fi
services/install_containers.sh
python=$(cd "$OLDPWD" && realpath -s "${1:-python3}")
PYTHONPATH=. "$python" -m services.engines
