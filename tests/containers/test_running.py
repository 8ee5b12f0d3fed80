"""A command in a container: each runtime with each form of image that it takes, and what it promises."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.waiting import PATIENCE, until
from services.containers import Runtimes

from esap_wf.backends.local import keeper as keeping
from esap_wf.models.plan import ContainerChoice
from esap_wf.running.environment import environment
from esap_wf.runs import attempts, processes
from esap_wf.software import containers
from esap_wf.software.containers import archive

pytestmark = pytest.mark.integration

CASES = [
    ("apptainer", "archive"),
    ("apptainer", "oci"),
    ("apptainer", "sif"),
    ("apptainer", "rootfs"),
    ("podman", "archive"),
    ("podman", "oci"),
    ("podman", "rootfs"),
    ("docker", "archive"),
    ("docker", "oci"),
    ("udocker", "archive"),
    ("udocker", "oci"),
    ("udocker", "rootfs"),
]
#: Both archives are unpacked or imported alike: that an OCI archive runs is asked in each `make test`, the rest of it in `make soak`.
OFTEN = [pytest.param(*c, marks=pytest.mark.soak) if c[1] == "oci" else c for c in CASES]
#: They have namespaces: mounts can be read-only, and there may be no network.
STRONG = [often for case, often in zip(CASES, OFTEN, strict=True) if case[0] != "udocker"]
HOSTILE = ["$(id >&2)", "`id`", "a b", "--rm", "'\"", "ü\n--env=X=1", "", "*", "a,b:c", "\\n"]


@pytest.fixture
def started(ready, noop: Path, tmp_path: Path, runtimes: Runtimes):
    """The image noop in one form, ready for one runtime."""

    def make(runtime: str, form: str, network: bool = True) -> ContainerChoice:
        runtimes.need(runtime)
        image = noop
        if form == "rootfs":
            image = tmp_path / "root"
            archive.unpack(noop, image)
            return ready(runtime, f"rootfs:{image}", network)
        if form == "oci":
            return ready(runtime, f"oci-archive:{oci(noop, tmp_path)}", network)
        if form == "sif":
            runtimes.need("apptainer")
            image = Path(ready("apptainer", noop).reference)
        return ready(runtime, image, network)

    return make


def oci(docker_archive: Path, folder: Path) -> Path:
    """The same image as an OCI archive."""
    import gzip
    import hashlib
    import io
    import json
    import tarfile

    contents = archive.read_archive(docker_archive)
    with tarfile.open(docker_archive) as old, tarfile.open(folder / "oci.tar", "w") as new:

        def add(name: str, data: bytes) -> None:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            new.addfile(info, io.BytesIO(data))

        def blob(data: bytes, kind: str) -> dict[str, object]:
            digest = hashlib.sha256(data).hexdigest()
            add(f"blobs/sha256/{digest}", data)
            return {
                "mediaType": f"application/vnd.oci.image.{kind}",
                "digest": f"sha256:{digest}",
                "size": len(data),
            }

        def member(name: str) -> bytes:
            handle = old.extractfile(name)
            assert handle
            return handle.read()

        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob(member(contents.config), "config.v1+json"),
            "layers": [
                blob(gzip.compress(member(layer), mtime=0), "layer.v1.tar+gzip") for layer in contents.layers
            ],
        }
        index = {"schemaVersion": 2, "manifests": [blob(json.dumps(manifest).encode(), "manifest.v1+json")]}
        add("index.json", json.dumps(index).encode())
        add("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    return folder / "oci.tar"


def run(
    choice: ContainerChoice, *command: str, work: Path, **more: object
) -> subprocess.CompletedProcess[str]:
    asked = containers.command(choice, containers.Task(command, work, **more))  # type: ignore[arg-type]
    return subprocess.run(
        asked.argv,
        env={**os.environ, **asked.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def work(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.mark.parametrize(("runtime", "form"), CASES)
def test_a_command_runs_where_it_is_told_and_its_exit_code_comes_back(started, work, runtime, form):
    done = run(started(runtime, form), "bash", "-c", 'pwd; echo "$HOME"; ls /bin/busybox; exit 7', work=work)
    assert done.returncode == 7, done.stderr
    assert done.stdout.split() == [str(work), str(work), "/bin/busybox"]


@pytest.mark.parametrize(("runtime", "form"), OFTEN)
def test_the_image_is_what_runs_not_this_machine(started, work, runtime, form):
    done = run(
        started(runtime, form),
        "bash",
        "-c",
        "ls /etc/os-release /usr/bin/apt; readlink /bin/ls; echo $PATH",
        work=work,
    )
    assert done.stdout.splitlines()[0] == "busybox", done
    assert "/usr/local/bin" in done.stdout.splitlines()[1]


@pytest.mark.parametrize(("runtime", "form"), OFTEN)
def test_words_and_values_arrive_as_they_are(started, work, runtime, form):
    script = 'for x in "$@" "$VALUE"; do printf "%s\\0" "$x"; done'
    value = "$(id) `id` 'q' \"d\" a,b=c \\n ü"
    done = run(
        started(runtime, form),
        "bash",
        "-c",
        script,
        "bash",
        *HOSTILE,
        work=work,
        environment={"VALUE": value},
    )
    assert done.stdout.split("\0") == [*HOSTILE, value, ""]
    assert "uid=" not in done.stderr


@pytest.mark.parametrize(("runtime", "form"), OFTEN)
def test_what_is_written_belongs_to_the_caller(started, work, runtime, form):
    done = run(started(runtime, form), "bash", "-c", "mkdir d; echo x > d/f", work=work)
    assert done.returncode == 0, done.stderr
    assert {(p.stat().st_uid, p.stat().st_gid) for p in (work / "d", work / "d" / "f")} == {
        (os.getuid(), os.getgid())
    }


@pytest.mark.parametrize("runtime", ["podman", "docker"])
def test_what_is_written_belongs_to_the_user_who_is_told(started, work, runtime):
    work.chmod(0o777)
    done = run(started(runtime, "archive"), "bash", "-c", "echo x > f", work=work, uid=4711, gid=4712)
    assert done.returncode == 0, done.stderr
    assert ((work / "f").stat().st_uid, (work / "f").stat().st_gid) == (4711, 4712)


@pytest.mark.parametrize(("runtime", "form"), STRONG)
def test_inputs_are_read_only(started, work, tmp_path, runtime, form):
    given = tmp_path / "in put"
    given.mkdir()
    (given / "f").write_text("kept")
    script = f"cat '{given}/f'; echo lost > '{given}/f'; touch '{given}/new'; touch mine"
    done = run(started(runtime, form), "bash", "-c", script, work=work, read_only=[given])
    assert done.stdout == "kept", done.stderr
    assert (given / "f").read_text() == "kept"
    assert [p.name for p in given.iterdir()] == ["f"]
    assert (work / "mine").exists()


@pytest.mark.parametrize(("runtime", "form"), OFTEN)
def test_other_folders_are_mounted_when_asked_and_else_not(started, work, tmp_path, runtime, form):
    for name in ("shared", "hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
    script = f"cat {tmp_path}/shared/f {tmp_path}/hidden/f; echo new > {tmp_path}/shared/g"
    done = run(started(runtime, form), "bash", "-c", script, work=work, writable=[tmp_path / "shared"])
    assert done.stdout == "shared", done.stderr
    assert (tmp_path / "shared" / "g").read_text() == "new\n"


@pytest.mark.parametrize(("runtime", "form"), STRONG)
def test_without_network_there_is_only_the_loopback(started, work, runtime, form):
    there = run(
        started(runtime, form, network=False),
        "bash",
        "-c",
        "tail -n +3 /proc/net/dev; wc -l < /proc/net/route",
        work=work,
    )
    assert [line.split(":")[0].strip() for line in there.stdout.splitlines()[:-1]] == ["lo"], there.stderr
    assert int(there.stdout.splitlines()[-1]) <= 1


def test_udocker_is_not_chosen_where_no_network_is_allowed(runtimes, noop):
    runtimes.need("udocker")
    chosen = containers.choose(
        str(noop), containers.Settings(runtimes=("udocker",)), runtimes.cache, network=False
    )
    assert chosen.choice is None
    assert chosen.reasons == ("udocker: udocker can't cut the network",)


@pytest.mark.parametrize(("runtime", "form"), OFTEN)
def test_the_environment_of_the_caller_stays_outside(started, work, monkeypatch, runtime, form):
    choice = started(runtime, form)
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    done = run(choice, "bash", "-c", "env", work=work, environment={"GIVEN": "1"})
    assert "GIVEN=1" in done.stdout.splitlines()
    assert "SECRET_TOKEN" not in done.stdout


@pytest.mark.parametrize(("runtime", "form"), STRONG)
def test_an_image_is_the_same_after_a_command_wrote_to_it(started, work, runtime, form):
    choice = started(runtime, form)
    run(choice, "bash", "-c", "echo spoiled > /etc/passwd; rm -f /bin/ls", work=work)
    again = run(choice, "bash", "-c", "cat /etc/passwd; ls /bin/ls", work=work)
    assert "spoiled" not in again.stdout
    assert "/bin/ls" in again.stdout, again


def test_udocker_keeps_what_a_command_writes_beside_its_mounts(started, work):
    choice = started("udocker", "rootfs")
    assert run(choice, "bash", "-c", "echo kept > /etc/kept", work=work).returncode == 0
    assert (Path(choice.reference) / "etc" / "kept").read_text() == "kept\n"


@pytest.mark.parametrize("runtime", ["apptainer", "podman", "docker", "udocker"])
def test_commands_side_by_side_do_not_disturb_each_other(started, tmp_path, monkeypatch, runtime):
    from concurrent.futures import ThreadPoolExecutor

    choice = started(runtime, "archive")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def one(number: int) -> tuple[int, str, str]:
        work = tmp_path / "parallel" / str(number // 2) / str(number)
        work.mkdir(parents=True)
        done = run(choice, "bash", "-c", "echo $0 > f; ls; cat f", str(number), work=work)
        return done.returncode, done.stdout, done.stderr

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(12))) == [(0, f"f\n{n}\n", "") for n in range(12)]
    assert list((tmp_path / "here").iterdir()) == []


def test_where_sifs_can_not_be_mounted_apptainer_runs_what_is_unpacked(runtimes, noop, work, tmp_path):
    runtimes.need("apptainer")
    apptainer = containers.RUNTIMES["apptainer"]
    program = shutil.which("apptainer", path=runtimes.environment["PATH"])
    assert program
    found = apptainer.detect(program, runtimes.cache)
    assert not isinstance(found, str), found
    source, _ = containers.resolve(containers.parse(str(noop)), containers.Settings(), runtimes.cache)
    choice = apptainer.choice(
        source, replace(found, options=(*found.options, "--unsquash")), tmp_path / "cache", True
    )
    assert not isinstance(choice, str), choice
    containers.prepare(choice, tmp_path / "cache")
    assert (choice.form, containers.is_ready(choice)) == ("rootfs", True)
    assert run(choice, "bash", "-c", "ls /bin/busybox", work=work).stdout == "/bin/busybox\n"


@pytest.mark.parametrize("runtime", ["apptainer", "podman", "docker", "udocker"])
def test_a_scratch_folder_is_tmp(started, work, tmp_path, runtime):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = run(started(runtime, "archive"), "bash", "-c", "echo x > /tmp/f", work=work, scratch=scratch)
    assert done.returncode == 0, done.stderr
    assert (scratch / "f").exists()


def begun(
    choice: ContainerChoice, work: Path, key: str, script: str, engine: str | None = None
) -> subprocess.Popen[bytes]:
    asked = containers.command(choice, containers.Task(["bash", "-c", script], work, run=key, engine=engine))
    child = subprocess.Popen(
        asked.argv, env={**os.environ, **asked.environment}, stdin=subprocess.DEVNULL, start_new_session=True
    )
    until(lambda: (work / "begun").exists() or child.poll() is not None)
    assert child.poll() is None
    return child


def nothing_is_left(key: str) -> None:
    """Everything of a run ends, if not at once."""
    until(
        lambda: not processes.survivors(key),
        what=f"the end of {key}",
        detail=lambda: processes.survivors(key),
    )


SLEEPS = "sleep 300 & touch begun; sleep 301"


@pytest.mark.parametrize("runtime", ["apptainer", "podman", "docker", "udocker"])
def test_processes_of_a_run_are_found_and_sigterm_to_its_group_leaves_none(started, work, runtime):
    key = uuid.uuid4().hex
    child = begun(started(runtime, "archive"), work, key, SLEEPS)
    try:
        assert {"bash", "sleep"} <= {s.name for s in processes.survivors(key)} | {"bash"}
        assert any(s.name in {"sleep", "busybox"} for s in processes.survivors(key)), (
            "what runs inside is not seen"
        )
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(PATIENCE)
        nothing_is_left(key)
    finally:
        processes.terminate(processes.survivors(key), 0)


@pytest.mark.parametrize("runtime", ["apptainer", "podman", "docker"])
def test_sigterm_to_the_runtime_alone_reaches_the_command(started, work, runtime):
    script = "trap 'echo ended > last; exit 9' TERM; touch begun; sleep 300 & wait"
    choice = started(runtime, "archive")
    died = []
    for _ in range(5):
        for name in ("begun", "last"):  # of a container before, which may have written it when it was ended
            (work / name).unlink(missing_ok=True)
        key = uuid.uuid4().hex
        child = begun(choice, work, key, script)
        try:
            child.terminate()
            child.wait(PATIENCE)
            # Podman passes signals on only from a moment after its container has begun: one that comes before ends Podman alone
            if runtime == "podman" and not (work / "last").exists() and processes.survivors(key):
                died.append(
                    f"Podman ended with {child.returncode} before it passed signals on, and its container lived"
                )
                continue
            assert (work / "last").read_text() == "ended\n", died
            nothing_is_left(key)
            return
        finally:
            containers.end([choice], key)
            processes.terminate(processes.survivors(key), 0)
    pytest.fail(f"not once in {len(died)} containers: {died[-1]}")


@pytest.mark.parametrize("runtime", ["apptainer", "podman", "docker", "udocker"])
def test_what_is_left_of_a_killed_runtime_is_found_and_ended(started, work, runtime):
    key = uuid.uuid4().hex
    choice = started(runtime, "archive")
    child = begun(choice, work, key, SLEEPS)
    child.kill()
    child.wait()
    containers.end([choice], key)
    assert processes.terminate(processes.survivors(key), 1) == []
    nothing_is_left(key)
    if runtime in {"podman", "docker"}:
        assert engines_of(choice, key) == []


def engines_of(choice: ContainerChoice, key: str) -> list[str]:
    """Engines to which a run's containers belong, whatever became of them; ? for one that says none."""
    asked = [choice.program, "ps", "--all", "--filter", f"label=esap-wf.run={key}", "--format", "{{.Labels}}"]
    done = subprocess.run(
        asked, env={**os.environ, **choice.environment}, capture_output=True, text=True, check=True
    )
    return sorted(
        m[1] if (m := re.search(rf"esap-wf.engine[=:]{key}\.(\d+)", line)) else "?"
        for line in done.stdout.splitlines()
    )


@pytest.mark.parametrize("runtime", ["podman", "docker"])
def test_an_engine_that_was_given_up_ends_its_own_containers_and_none_of_its_successor(
    started, work, tmp_path, monkeypatch, runtime
):
    """Its keeper does, where nobody else can: a daemon's containers are nobody's children."""
    monkeypatch.setattr(keeping, "RENEW", 0.2)
    key, choice = uuid.uuid4().hex, started(runtime, "archive")
    own = tmp_path / "run"
    for made in (own / "engine", own / "logs", own / "work"):
        made.mkdir(parents=True)
    task = containers.Task(["bash", "-c", SLEEPS], own / "work", run=key, engine=processes.engine_key(key, 1))
    asked = containers.command(choice, task)
    (own / "command.sh").write_text(f"exec {shlex.join(asked.argv)}\n")
    keys = {processes.RUN_VARIABLE: key, processes.ENGINE_VARIABLE: processes.engine_key(key, 1)}
    surroundings = {**environment(asked.environment), **keys}
    given_up = lambda: containers.end([choice], key, 1)  # noqa: E731
    keeper = keeping.start(own, 1, ["bash", "command.sh"], surroundings, given_up)
    successor = None
    try:
        until(
            (own / "work" / "begun").exists,
            what="the first task",
            detail=(own / "logs" / "engine.log").read_text,
        )
        successor = begun(choice, work, key, SLEEPS, engine=processes.engine_key(key, 2))
        assert engines_of(choice, key) == ["1", "2"]
        attempts.declare_void(own, 1)
        assert os.waitpid(keeper, 0)[1] != 0
        keeper = 0
        assert engines_of(choice, key) == ["2"]
        assert successor.poll() is None
    finally:
        if keeper:
            os.kill(keeper, signal.SIGKILL)
            os.waitpid(keeper, 0)
        containers.end([choice], key)
        if successor:
            successor.wait(60)
        processes.terminate(processes.survivors(key), 0)
