"""The last lines of a log are few: they are not an engine's own stack, and what they mean is said in the first line."""

from __future__ import annotations

from pathlib import Path

import pytest

from esap_wf.models.run import Failure, Reason
from esap_wf.running import failures

FRAMES = [
    "\tat nextflow.cli.Launcher.run(Launcher.groovy:503)",
    "    at nextflow.script.BaseScript$run.call(Unknown Source)",
    "\tat groovy.lang.GroovyShell.evaluate(GroovyShell.java:460)",
    "\tat org.codehaus.groovy.runtime.callsite.CallSiteArray.defaultCall(CallSiteArray.java:47)",
    "\tat java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1136)",
    "\tat java.base/jdk.internal.reflect.NativeMethodAccessorImpl.invoke0(Native Method)",
    "\t... 18 common frames omitted",
]
OWN = [
    "Unknown configuration profile: 'lsat'",
    "\tat Script_ab12.runScript(Script_ab12:7)",
    "\tat htsjdk.samtools.SamReader.open(SamReader.java:9)",
    "at nextflow.io we ask",
]


def test_the_stack_of_nextflow_does_not_push_out_what_it_said(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("\n".join([OWN[0], *FRAMES * 90, *OWN[1:], *FRAMES]))
    assert log.stat().st_size > 30_000
    assert failures.tail_of(log) == OWN


def test_a_log_of_nothing_else_is_shown(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("\n".join(FRAMES))
    assert failures.tail_of(tmp_path / "a.log") == FRAMES


SAID = [
    "FATAL:   stat /bin/bash: no such file or directory",
    'FATAL:   "bash": executable file not found in $PATH',
    'Error: runc: runc create failed: unable to start container process: exec: "/bin/bash": stat /bin/bash: no such file or directory: OCI',
    "Error: crun: executable file `/bin/bash` not found: No such file or directory: OCI runtime attempted to invoke a command",
]


def explained(run: Path, own: str | None, engine: str, code: int) -> tuple[Failure, str]:
    (run / "logs").mkdir()
    (run / "logs" / "engine.log").write_text(engine)
    if own is not None:
        (run / "a.log").write_text(own)
    failure = Failure(
        step="a",
        reason=Reason.EXIT_CODE,
        exit_code=code,
        log=None if own is None else "a.log",
        detail=f"exit status {code}",
    )
    (found,) = failures.explained([failure], run)
    return found, failures.headline(found)


@pytest.mark.parametrize("expected", SAID)
def test_an_image_without_bash_is_named_by_the_log_of_the_step(tmp_path: Path, expected: str) -> None:
    found, line = explained(tmp_path, f"{expected}\n", "", 127 if "OCI" in expected else 255)
    assert found.reason == Reason.SOFTWARE
    assert line.startswith(
        "a: software is missing: its image has no bash, with which the engine starts every step"
    )
    assert expected[:40] in line
    assert found.log == "a.log"


@pytest.mark.parametrize("own", [None, ""])
def test_an_image_without_bash_is_named_by_the_log_of_the_engine(tmp_path: Path, own: str | None) -> None:
    found, line = explained(tmp_path, own, f"Activating singularity image\n{SAID[1]}\n" + "more\n" * 50, 255)
    assert (found.reason, found.tail, found.log) == (Reason.SOFTWARE, [SAID[1]], "logs/engine.log")
    assert "its image has no bash" in line


@pytest.mark.parametrize(
    ("own", "engine", "code"),
    [("worked\n", SAID[0], 255), ("", SAID[0], 1), ("bash: no such file\n", "", 127)],
)
def test_other_ends_stay_what_they_are(tmp_path: Path, own: str, engine: str, code: int) -> None:
    found, line = explained(tmp_path, own, engine, code)
    assert (found.reason, line) == (Reason.EXIT_CODE, f"a: exit code {code}, log a.log")
