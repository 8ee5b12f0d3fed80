"""What a place is given to start: words of users reach the engine as they are, wherever the script stands."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from esap_wf.engines import LaunchAdditions
from esap_wf.models.place import Profile, SoftwareThere
from esap_wf.running.pieces import script

#: Prints what it is given and where it is.
SHOW = (
    "import json, os, sys; json.dump([sys.argv[1:], os.getcwd(), dict(os.environ)], open('said.json', 'w'))"
)
WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


def command(*argv: str) -> str:
    """As `render.command_script` writes it."""
    return (
        "#!/usr/bin/env bash\n# a title\nset -euo pipefail\n"
        'cd -- "$(dirname -- "${BASH_SOURCE[0]}")"\n'
        f'export GIVEN=yes\nexec {shlex.join(argv)} "$@"\n'
    )


def said(folder: Path, text: str, **environment: str) -> tuple[list[str], str, dict[str, str]]:
    """What the program of a script is given, in a folder that the script does not know."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / script.NAME).write_text(text, "utf-8")
    subprocess.run(
        ["bash", str(folder / script.NAME)], env={"PATH": "/usr/bin:/bin", **environment}, check=True, cwd="/"
    )
    argv, where, variables = json.loads((folder / "said.json").read_text())
    return argv, where, variables


@given(st.lists(WORDS, max_size=4), WORDS, WORDS)
@settings(max_examples=25, deadline=None)
def test_every_word_arrives_as_it_is_and_the_folder_is_the_scripts_own(tmp_path_factory, words, value, title):
    folder = tmp_path_factory.mktemp("a place") / "it's here"
    additions = LaunchAdditions(
        ["--record", "/made/here/run/engine/1.jsonl", *words],
        {"ADDED": value, "PYTHONPATH": "/made/here/run/p"},
    )
    text = script.text(
        command(sys.executable, "-c", SHOW), title, "r.1.2.1", Profile(), additions, "/made/here/run"
    )
    argv, where, variables = said(folder, text, PYTHONPATH="/theirs")
    kept = [word.replace("/made/here/run", where) for word in words]
    assert argv == ["--record", f"{where}/engine/1.jsonl", *kept]
    assert where == str(folder)
    assert variables["ADDED"] == value.replace("/made/here/run", where)
    assert variables["PYTHONPATH"] == f"{where}/p:/theirs"
    assert variables["GIVEN"] == "yes"
    assert variables[script.VARIABLE] == "r.1.2.1"


def test_a_piece_gets_the_variables_that_its_profile_names_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("MY_TOKEN", "canary-value")
    monkeypatch.setenv("MY_SETTING", "with 'quotes' and $(date)")
    profile = Profile(
        environment=("LANG", "MY_SETTING", "NOT_SET"),
        secrets=["MY_TOKEN"],
        software=SoftwareThere(path=["/opt/one/bin", "/opt/two/bin"]),
    )
    text = script.text(command(sys.executable, "-c", SHOW), "t", "k", profile, LaunchAdditions(), "/made")
    assert "canary-value" not in text
    assert "MY_TOKEN" not in text
    _, _, variables = said(tmp_path / "there", text)
    assert variables["LANG"] == "de_DE.UTF-8"
    assert variables["MY_SETTING"] == "with 'quotes' and $(date)"
    assert "NOT_SET" not in variables
    assert variables["PATH"] == "/opt/one/bin:/opt/two/bin:/usr/bin:/bin"


def test_modules_are_loaded_before_the_engine_starts(tmp_path):
    profile = Profile(software=SoftwareThere(modules=["python/3.12", "gcc+mpi/13"]))
    text = script.text(command("true"), "t", "k", profile, LaunchAdditions(), "/made")
    lines = text.splitlines()
    assert lines.index("module load python/3.12 gcc+mpi/13") < next(
        i for i, line in enumerate(lines) if line.startswith("exec true")
    )


def test_what_the_engine_prints_is_in_its_log(tmp_path):
    text = script.text(
        command("sh", "-c", "echo out; echo err >&2"), "t", "k", Profile(), LaunchAdditions(), "/m"
    )
    (tmp_path / script.NAME).write_text(text)
    done = subprocess.run(["bash", str(tmp_path / script.NAME)], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
    assert (tmp_path / "logs/engine.log").read_text() == "out\nerr\n"
