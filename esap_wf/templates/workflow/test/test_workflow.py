"""The workflow's own test: it is valid, and what it makes is right."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent.parent


def esap_wf(*arguments, store):
    command = [str(Path(sys.prefix) / "bin" / "esap-wf"), "--store", str(store), "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_nothing_is_wrong_with_the_folder(tmp_path):
    assert esap_wf("lint", str(HERE), store=tmp_path / "store")["valid"]


def test_the_sum_is_right(tmp_path):
    run = esap_wf("run", str(HERE), "--parts", "4", "--step", "2 m", store=tmp_path / "store")
    assert run["phase"] == "COMPLETED"
    result = json.loads((Path(run["dir"]) / "outputs/result.json").read_text())
    assert result == {"sum": 2 * sum(range(40)), "parts": 4}
