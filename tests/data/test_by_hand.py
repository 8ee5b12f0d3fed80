"""A run directory whose inputs lie elsewhere, without esap-wf: ``stage.py`` brings them, ``command.sh`` calls it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from helpers.files import write_files
from helpers.websites import File, Handler, Site, status
from helpers.workflows import write_workflow

from esap_wf.files import read_json
from esap_wf.models.plan import Plan
from esap_wf.running import render, staging

from .gathering import Gathering

pytestmark = [pytest.mark.integration, pytest.mark.apart]

#: Puts a folder and its own file together.
BOTH = """\
rule all:
    input: "outputs/all.dat"

rule gather:
    input: config["inputs"]["files"], config["inputs"]["folder"]
    output: "outputs/all.dat"
    log: "logs/gather/all.log"
    params: files=config["inputs"]["files"], folder=config["inputs"]["folder"][0]
    shell: "cat {params.files:q} {params.folder:q}/* > {output} 2> {log}"
"""
MAKES = """\
rule make:
    output: directory("outputs/folder")
    log: "logs/make/all.log"
    shell: "(mkdir -p outputs/folder; echo a > outputs/folder/a; echo b > outputs/folder/b) 2> {log}"
"""


@pytest.fixture
def place(place: Gathering, site: Site) -> Gathering:
    (place.root / "config.toml").write_text(f"[web]\nhosts = {json.dumps(site.hosts)}\n")
    return place


def copied(place: Gathering, run: str) -> Path:
    """What was rendered for a run, somewhere else."""
    source, target = place.run(run).dir, place.root / "by hand"
    for name in json.loads((source / "plan.json").read_text())["files"]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)
    for name in ("outputs", "logs", "engine"):
        (target / name).mkdir()
    return target


def call(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **environment}
    return subprocess.run(
        [*map(str, words)], env=variables, capture_output=True, text=True, cwd="/", check=False, timeout=120
    )


def test_what_was_rendered_works_by_hand_wherever_it_is_copied(place: Gathering, site: Site) -> None:
    makes = write_workflow(
        place.root / "makes",
        manifest={"outputs": [{"name": "folder", "path": "outputs/folder/"}]},
        files={"Snakefile": MAKES},
    )
    made = place.ok("run", str(makes))["run"]
    site.pages["/b.dat"] = File(b"b" * 100_000, {"ETag": '"b"'})
    inputs = {
        "files": {"title": "Files", "many": True},
        "folder": {"title": "Folder", "kind": "folder"},
    }
    uses = write_workflow(
        place.root / "uses",
        manifest={"inputs": inputs, "outputs": [{"name": "all", "path": "outputs/all.dat"}]},
        files={"Snakefile": BOTH},
    )
    files = [place.put("a.dat", b"a" * 100_000), site.url("/b.dat"), f"run:{made}/folder/a"]
    words = [word for one in files for word in ("--input", f"files={one}")]
    run = place.ok("run", str(uses), *words, "--input", f"folder=run:{made}/folder")["run"]
    folder = copied(place, run)
    assert not (folder / "inputs").exists()
    done = call("bash", folder / "command.sh")
    assert done.returncode == 0, done
    assert (folder / "outputs/all.dat").read_bytes() == place.result(run)
    here = place.run(run).dir / "inputs"
    brought = {p.relative_to(folder / "inputs"): p for p in (folder / "inputs").rglob("*") if p.is_file()}
    assert len(brought) == 5
    for name, path in brought.items():
        assert path.read_bytes() == (here / name).read_bytes()
        if name.name != "b.dat":  # its server says no time
            assert path.stat().st_mtime == pytest.approx((here / name).stat().st_mtime, abs=1e-6)
    # all is there: nothing is asked for, nothing is done again
    asked = len(site.asked)
    again = call("bash", folder / "command.sh", "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr
    assert len(site.asked) == asked


def test_a_run_that_was_never_brought_works_by_hand(place: Gathering) -> None:
    """Its supervisor waits for a lake in vain."""
    uris, whole = place.many(2)
    (copy,) = (place.store / "lake/files").rglob("000000.dat")
    copy.rename(place.root / "aside")
    run = place.ok(*place.given(uris), "--detach")["run"]
    place.ok("cancel", run)
    place.ended(run)
    folder = place.run(run).dir
    done = call("bash", folder / "command.sh")
    assert done.returncode == 1
    assert (
        "inputs/files/0/000000.dat: rucio://local/toy/d/000000.dat has no address that can be read from here: "
        "esap-wf resume brings it\n"
    ) in done.stderr
    assert not (folder / "outputs/all.dat").exists()
    (place.root / "aside").rename(copy)
    # the address is made when the run is rendered: resuming looks for it anew, by itself
    assert place.ok("resume", run)["phase"] == "COMPLETED"
    assert place.result(run) == whole


def test_a_token_is_read_from_a_variable_and_written_nowhere(place: Gathering, site: Site) -> None:
    def private(handler: Handler) -> None:
        right = handler.headers.get("Authorization") == "Bearer canary"
        (File(b"mine", {"ETag": '"m"'}) if right else status(401))(handler)

    site.pages["/mine.dat"] = private
    (place.root / "token").write_text("canary\n")
    (place.root / "token").chmod(0o600)
    more = f'credentials = {{ "{site.hosts[0]}" = "my archive" }}\n[credentials."my archive"]\nfile = "{place.root}/token"\n'
    (place.root / "config.toml").write_text(f"[web]\nhosts = {json.dumps(site.hosts)}\n{more}")
    run = place.ok(*place.given([site.url("/mine.dat")]))["run"]
    assert place.result(run) == b"mine"
    folder = copied(place, run)
    assert not any(b"canary" in p.read_bytes() for p in folder.rglob("*") if p.is_file())
    done = call(sys.executable, folder / "stage.py")
    assert (done.returncode, done.stderr) == (
        1,
        "inputs/files/0/mine.dat: needs a token: put it into the variable ESAP_WF_TOKEN_MY_ARCHIVE\n",
    )
    assert call(sys.executable, folder / "stage.py", ESAP_WF_TOKEN_MY_ARCHIVE="canary").returncode == 0
    assert (folder / "inputs/files/0/mine.dat").read_bytes() == b"mine"
    assert not any(b"canary" in p.read_bytes() for p in folder.rglob("*") if p.is_file())


def test_without_inputs_from_elsewhere_nothing_is_there_for_it(place: Gathering) -> None:
    (place.root / "mine.dat").write_bytes(b"mine")
    run = place.ok(*place.given([str(place.root / "mine.dat")]))["run"]
    folder = place.run(run).dir
    assert not (folder / staging.PROGRAM).exists()
    assert not (folder / staging.LISTING).exists()
    assert staging.PROGRAM not in (folder / "command.sh").read_text()


def tools(folder: Path) -> str:
    """A PATH on which there is no Python."""
    folder.mkdir()
    for name in ("bash", "dirname", "printenv"):
        (folder / name).symlink_to(str(shutil.which(name)))
    return str(folder)


def test_the_engine_gets_what_it_would_get_and_python_is_asked_for_only_if_something_is_missing(
    place: Gathering, tmp_path: Path
) -> None:
    uris, _ = place.many(2)
    planned = place.root / "plan.json"
    assert place.inside("plan", *place.given(uris)[1:], "-o", planned).code == 0
    plan = msgspec.structs.replace(read_json(planned, Plan), command=["printenv"])
    folder = write_files(
        tmp_path / "it's there", {"command.sh": render.command_script(plan), "stage.py": "1/0"}
    )
    path = tools(tmp_path / "tools")
    bash = str(shutil.which("bash"))
    missing = call(bash, folder / "command.sh", PATH=path)
    assert missing.returncode == 127
    assert "python3" in missing.stderr
    write_files(folder, {f"inputs/files/{n}/{n:06}.dat": "" for n in range(2)})
    done = call(bash, folder / "command.sh", PATH=path, input="mine")
    assert (done.returncode, done.stderr) == (0, "")
    assert "input=mine\n" in done.stdout
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert names <= {"PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_", "input"}
