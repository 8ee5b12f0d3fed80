#!/usr/bin/env bash
# Hello, with the bare engine: `bash command.sh`. esap-wf is not needed. Arguments are added to the engine's.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
exec /opt/esap-wf/.venv/bin/snakemake --snakefile code/c2c8885aaf0b5944/workflows/hello/Snakefile --configfile config.json --directory . --cores 1 --resources mem_mb=200 --scheduler greedy --scheduler-subsample 50 --keep-going --rerun-incomplete "$@"
