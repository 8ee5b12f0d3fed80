"""The program by which an engine in an image is started: what the runtime is given, wherever it stands."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.waiting import until
from hypothesis import example, given
from hypothesis import strategies as st

from esap_wf.engines import imaged
from esap_wf.models.plan import ContainerChoice

DIGEST = f"sha256:{'5a' * 32}"
TELLS = '#!/bin/sh\nprintf "%s\\0" "$@"\nprintf "END\\0"\nexec env -0\n'


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


def started(
    folder: Path, runtime: str = "podman", shared: tuple[str, ...] = (), text: str = TELLS, **more: Any
) -> Path:
    """The script in a folder, with a stand-in for the runtime."""
    program = folder.parent / "run time's"
    program.write_text(text)
    program.chmod(0o755)
    given = {"image": f"x@{DIGEST}", "reference": "/images/x y.sif", "form": "rootfs", "digest": DIGEST}
    choice = ContainerChoice(**{**given, "runtime": runtime, "program": str(program), **more})
    script = folder / imaged.FOLDER_OF_PROGRAMS / "engine"
    script.parent.mkdir(parents=True)
    script.write_bytes(imaged.script("engine", choice, shared))
    script.chmod(0o755)
    return script


def told(
    script: Path, *words: str, cwd: Path | None = None, variables: dict[str, str] | None = None
) -> tuple[list[str], set[str]]:
    """Arguments and environment of the runtime."""
    base = {"PATH": os.environ["PATH"], "HOME": "/h", "LD_PRELOAD": "", "TMPDIR": "/var/tmp"}
    done = subprocess.run(
        [script, *words], env={**base, **(variables or {})}, cwd=cwd or script.parents[1], capture_output=True
    )
    assert done.returncode == 0, done.stderr
    found = done.stdout.decode().split("\0")
    end = found.index("END")
    return found[:end], set(found[end + 1 :])


_NAME = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/:,\"'\\\0"), min_size=1, max_size=20
).filter(lambda name: name.strip(".") and len(name.encode()) < 200)
_WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=3)


@given(name=_NAME, words=_WORDS)
@example(name="$(touch pwned) `x` &;*~ é漢", words=["$(touch pwned)", "a\nb", "", "--", "'"])
@example(name="-rf", words=["END "])
def test_any_folder_is_mounted_as_it_is(place: Path, name: str, words: list[str]) -> None:
    if "END" in words:
        return
    folder = place / name
    (folder / "sub").mkdir(parents=True)
    try:
        script = started(folder)
        arguments, _ = told(script, *words, cwd=folder / "sub")
        assert f"--mount=type=bind,source={folder},target={folder}" in arguments
        assert f"--workdir={folder}/sub" in arguments and f"--env=HOME={folder}" in arguments
        assert "--mount=type=bind,source=/var/tmp,target=/tmp" in arguments
        assert arguments[-len(words) - 1 :] == ["engine", *words]
        assert not list(place.rglob("pwned"))
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["a:b", "a,b", "it's", '"', "a\\b", "a\nb"])
def test_a_folder_that_can_not_be_mounted_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    done = subprocess.run([started(tmp_path / name)], capture_output=True, text=True)
    assert done.returncode == 126 and "can't be mounted" in done.stderr and not done.stdout


def test_the_variables_of_who_calls_it_come_in_but_not_those_of_the_machine(tmp_path: Path) -> None:
    values = {"PLAIN": "a b'$(x)\n", "PYTHONPATH": "/p", "ESAP_WF_PIECE": "r.1.1.1", "LD_LIBRARY_PATH": "/l"}
    arguments, _ = told(started(tmp_path / "podman"), variables=values)
    passed = {word.removeprefix("--env=") for word in arguments if word.startswith("--env=")}
    assert passed == {"PLAIN", "PYTHONPATH", "ESAP_WF_PIECE", f"HOME={tmp_path}/podman"}
    _, there = told(started(tmp_path / "apptainer", "apptainer"), variables=values)
    renamed = {v.removeprefix("APPTAINERENV_") for v in there if v.startswith("APPTAINERENV_")}
    assert renamed == {f"{k}={v}" for k, v in values.items() if k != "LD_LIBRARY_PATH"}


def test_shared_folders_are_seen_read_only(tmp_path: Path) -> None:
    arguments, _ = told(started(tmp_path / "run", shared=("/data/public",)))
    assert "--mount=type=bind,source=/data/public,target=/data/public,readonly" in arguments
    arguments, _ = told(started(tmp_path / "other", "apptainer", shared=("/data/public",)))
    assert "/data/public:/data/public:ro" in arguments
    assert arguments[arguments.index("--pwd") + 1] == str(tmp_path / "other")


def test_files_belong_to_who_runs_it_there(tmp_path: Path) -> None:
    arguments, _ = told(started(tmp_path / "run"))
    assert f"--user={os.getuid()}:{os.getgid()}" in arguments
    assert ("--userns=keep-id" in arguments) is bool(os.getuid())


def test_a_sif_whose_checksum_is_named_is_checked(tmp_path: Path) -> None:
    sif = tmp_path / "s.sif"
    sif.write_bytes(b"an image")
    digest = f"sha256:{hashlib.sha256(b'an image').hexdigest()}"
    script = started(
        tmp_path / "run", "apptainer", form="sif", reference=str(sif), digest=digest, image="x:1"
    )
    assert str(sif) in told(script)[0]
    sif.write_bytes(b"another one")
    done = subprocess.run([script], capture_output=True, text=True)
    assert done.returncode == 126 and "the profile says" in done.stderr and not done.stdout


def test_signals_and_the_exit_code_are_those_of_the_runtime(tmp_path: Path) -> None:
    text = "#!/bin/sh\ntrap 'exit 42' TERM\ntouch ready\nwhile :; do read x < fifo || :; done\n"
    script = started(tmp_path / "run", text=text)
    os.mkfifo(tmp_path / "run/fifo")
    process = subprocess.Popen([script], cwd=tmp_path / "run")
    until(lambda: (tmp_path / "run/ready").exists(), what="the runtime")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 42
