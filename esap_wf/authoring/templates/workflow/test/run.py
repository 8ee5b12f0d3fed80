"""The workflow's own test: nothing is wrong with the folder, and what it makes is right. `python3 test/run.py`, or with pytest."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
BESIDE = Path(sys.executable).parent / "esap-wf"
COMMAND = str(BESIDE) if BESIDE.is_file() else shutil.which("esap-wf")


def esap_wf(*arguments, store):
    if COMMAND is None:
        sys.exit("esap-wf is neither beside this Python nor on PATH")
    done = subprocess.run([COMMAND, "--store", store, "--json", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_workflow():
    with tempfile.TemporaryDirectory() as store:
        assert esap_wf("lint", str(HERE), store=store)["valid"]
        words = ["--params", str(HERE / "test/params.yaml"), "--numbers", str(HERE / "test/numbers.csv")]
        run = esap_wf("run", str(HERE), *words, store=store)
        assert run["phase"] == "COMPLETED", run
        result = json.loads((Path(run["dir"]) / "outputs/result.json").read_text())
        assert result == {"sum": 2 * 20.5, "parts": 2}, result


if __name__ == "__main__":
    test_workflow()
    print("passed")
