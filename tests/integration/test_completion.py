"""A shell completes values: by the classes that speak to the shells in this process, and once by each real shell."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import COMMAND, Place
from helpers.workflows import write_workflow

from esap_wf.cli import cli, shells


@pytest.fixture
def ask(world: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a shell is answered: the words of a line, the last one begun. Zsh's answer, because it holds the help too."""
    for name, value in world.cli.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(world.cli.root)

    def answered(*words: str, shell: str = "zsh") -> dict[str, str]:
        joined = [*words]
        monkeypatch.setenv("COMP_WORDS", "\n".join(["esap-wf", *(w.replace(" ", "\\ ") for w in joined)]))
        monkeypatch.setenv("COMP_CWORD", joined[-1] if shell == "fish" else str(len(joined)))
        text = shells.shell(shell, cli).complete()
        lines = text.splitlines()
        if shell != "zsh":
            return dict(reversed(line.split(",", 1)) for line in lines)  # type: ignore[misc]
        return {
            value: kind if told == "_" else told
            for kind, value, told in zip(lines[::3], lines[1::3], lines[2::3], strict=True)
        }

    return answered


def test_runs_are_offered_by_id_and_name_newest_first_with_phase_and_workflow(world: Any, ask: Any) -> None:
    offered = ask("status", "")
    ids = [row["run"] for row in world.cli.inside("list", "--json").json["runs"]]
    assert [value for value in offered if value in ids] == ids
    assert offered[world.hello] == "COMPLETED hello first"
    assert offered["broken"] == f"ERROR noop {world.failed}"
    assert set(ask("results", "")) >= {world.hello, "first"}
    assert world.failed not in ask("results", ""), "it has none"
    assert set(ask("logs", world.noop[:6])) == {world.noop}
    assert set(ask("resume", "")) == {"broken", world.failed}
    assert ask("cancel", "") == {}, "all have ended"
    assert set(ask("rm", "bro")) == {"broken"}
    assert ask("rm", "broken", "bro") == {}, "it is named already"
    assert world.hello not in ask("diff", world.hello, "")
    assert set(ask("rerun", "fi")) == {"first"}


def test_another_store_that_is_named_is_looked_at(world: Any, ask: Any, tmp_path: Path) -> None:
    assert ask("--store", str(tmp_path), "status", "") == {}
    assert "first" in ask("--store", str(world.cli.store), "status", "f")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("run irf --site ", {"North", "South"}),
        ("run irf --site S", {"South"}),
        ("run irf --site=S", {"--site=South"}),
        ("run irf --param si", {"site="}),
        ("run irf --param site=", {"site=North", "site=South"}),
        ("run irf --param zenith=", set()),
        ("run irf --size ", {"small", "medium", "large"}),
        ("validate hello --software ", {"installed", "container"}),
        ("plan nothing --software co", {"container"}),
        ("plan nothing --software ", {"installed", "python", "container", "mounted"}),
        ("plan nothing --engine snak", {"snakemake"}),
        ("run hello --engine ", {"snakemake", "nextflow", "cwl", "toil"}),
        ("run irf --engine ", {"snakemake"}),
        ("run irf --backend lo", {"local"}),
        ("run irf --backend x", set()),
        ("check lo", {"local"}),
        ("backends show lo", {"local"}),
        ("backends ch", {"check"}),
        ("backends --needs g", {"gpu="}),
        ("backends --needs gpu=1,me", {"gpu=1,memory="}),
        ("backends --needs cores=1,co", set()),
        ("att", {"attend"}),
        ("run irf --size me", {"medium"}),
        ("run irf --engine nex", set()),
        ("run irf --input ", {"production_db="}),
        ("run hello --if-exists r", {"reuse", "rerun"}),
        ("run he", {"hello"}),
        ("show irf-", {"irf-validate"}),
        ("list --phase e", {"EXECUTING", "ERROR"}),
        ("list --workflow no", {"noop"}),
        ("list --tag ", {"kept"}),
        ("rerun broken --set un", {"units="}),
        ("rerun first --set language=", {"language=dutch", "language=german", "language=italian"}),
        ("logs broken --step ", {"unit", "engine"}),
        ("logs broken --step unit --unit u", {"u00001", "u00002", "u00003"}),
        ("run --plan ", {""}),
        ("run hello --params ./d", {"./d"}),
        ("run ./wo", {"./wo"}),
        ("run some-pipe", {"some-pipe"}),
        ("results first --copy-to ", {""}),
    ],
)
def test_values_are_offered(ask: Any, line: str, offered: set[str]) -> None:
    got = ask(*line.split(" "))
    assert offered <= set(got)
    if not line.startswith(("rerun first", "logs broken", "run irf --input")):
        assert set(got) == offered
    if offered in ({""}, {"./d"}, {"./wo"}, {"some-pipe"}):
        assert set(got.values()) == {"dir" if "--copy-to" in line else "file"}, "the shell's own completion"


def test_switches_and_lists_are_offered(ask: Any, world: Any) -> None:
    folder = write_workflow(
        world.cli.root / "offers",
        {
            "keep": {"type": "boolean", "title": "Keep", "default": False},
            "bands": {
                "type": "array",
                "title": "Bands",
                "items": {"type": "string", "enum": ["g", "r r", "i,z", "no\nline"]},
            },
            "table": {"type": "string", "title": "Table", "path": True, "default": "x"},
            "filter": {
                "type": ["string", "null"],
                "title": "Filter",
                "enum": ["blue", None],
                "default": None,
            },
        },
    )
    assert set(ask("run", str(folder), "--keep", "")) == {"true", "false"}
    assert set(ask("run", str(folder), "--bands", "g,")) == {"g,g", "g,r r", "g,i,z"}, (
        "what would break the line is left out"
    )
    assert set(ask("run", str(folder), "--filter", "")) == {"blue"}, "nothing is no value that can be typed"
    assert ask("run", str(folder), "--table", "./x") == {"./x": "file"}
    assert ask("run", str(folder), "--bands", "r", shell="bash") == {"r\\ r": "plain"}, (
        "bash quotes nothing by itself"
    )
    assert ask("run", str(folder), "--bands", "i", shell="fish") == {"i,z": "plain"}


def test_files_stand_behind_the_name_of_an_input(ask: Any, world: Any) -> None:
    (world.cli.root / "events").mkdir(exist_ok=True)
    (world.cli.root / "events" / "one.fits").touch()
    (world.cli.root / "events" / ".hidden").touch()
    assert ask("run", "irf", "--input", "production_db=ev") == {"production_db=events/": "open"}
    assert ask("run", "irf", "--input", "production_db=events/") == {"production_db=events/one.fits": "plain"}


def test_bash_is_answered_for_the_part_that_it_takes_for_a_word(ask: Any) -> None:
    assert ask("run", "irf", "--param", "site", "=", "No", shell="bash") == {"North": "plain"}
    assert ask("run", "irf", "--param", "site", "=", shell="bash") == {"North": "plain", "South": "plain"}
    assert ask("run", "irf", "--site", "=", "S", shell="bash") == {"South": "plain"}
    assert ask("run", "irf", "--param", "si", shell="bash") == {"site=": "open"}
    assert ask("run", "irf", "--param", "'site=N", shell="bash") == {"site=North": "plain"}, (
        "within a quote it parts nothing"
    )


def test_the_scripts_know_what_goes_on_behind_an_equals_sign() -> None:
    assert 'begun+=("$key")' in shells.Zsh.source_template
    assert "compadd -U -S" in shells.Zsh.source_template
    assert "compset -P" in shells.Zsh.source_template
    assert "string split -m 1" in shells.Fish.source_template


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("nonsense ", ""),
        ("run no-such-workflow --si", ""),
        ("run https://example.org/nothing.git --x", ""),
        ("rerun nobody --set ", ""),
        ("status ", "store"),
        ("run irf --site ", "config"),
        ("--store", ""),
    ],
)
def test_a_shell_is_never_answered_with_an_error(
    place: Place, monkeypatch: pytest.MonkeyPatch, line: str, broken: str
) -> None:
    if broken == "store":
        place.store.write_text("no store")
    if broken == "config":
        (place.root / "config.toml").write_text("= broken")
    words = ["esap-wf", *line.split(" ")]
    asked = {
        "_ESAP_WF_COMPLETE": "bash_complete",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    done = place.inside(env=asked)
    monkeypatch.delenv("_ESAP_WF_COMPLETE", raising=False)
    assert (done.code, done.err) == (0, "")
    assert all(text.partition(",")[0] in ("plain", "file", "dir", "open") for text in done.out.splitlines())


def test_what_takes_long_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from esap_wf.catalogue import workflows

    def endless(*_: Any) -> None:
        while True:
            select.select([], [], [], 60)

    monkeypatch.setattr(shells, "PATIENCE", 0.05)
    monkeypatch.setattr(workflows, "find", endless)
    asked = {
        "_ESAP_WF_COMPLETE": "bash_complete",
        "COMP_WORDS": "esap-wf\nrun\n./slow\n--det",
        "COMP_CWORD": "3",
    }
    assert place.inside(env=asked).out == "plain,--detach\n", "what is known without the workflow"


#: Shell → how it is started without a user's settings, and how it reads the script (docs/install.md).
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(esap-wf completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -U compinit; compinit -u -D; eval "$(esap-wf completion zsh)"'),
}


@pytest.fixture(params=SHELLS)
def shell(world: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """An interactive shell that has read the completion script."""
    start, reads = SHELLS[request.param]
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param}: make services")
    master, slave = pty.openpty()
    environment = {
        **os.environ,
        **world.cli.environment,
        "PS1": "$ ",
        "TERM": "dumb",
        "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
    }
    process = subprocess.Popen(
        start,
        env=environment,
        cwd=world.cli.root,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)

    def typed(text: str, expected: str) -> str:
        os.write(master, text.encode())
        seen, until = "", time.monotonic() + 180
        while expected not in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen):
            assert time.monotonic() < until, seen
            if select.select([master], [], [], 0.2)[0]:
                seen += os.read(master, 65536).decode()
        return seen

    typed(f'{reads}; echo rea""dy\n', "ready")
    yield typed
    process.kill()
    process.wait()
    os.close(master)


def test_a_real_shell_completes_runs_and_values(world: Any, shell: Any) -> None:
    first = shell("echo; esap-wf status bro\t", "broken ")
    assert "Traceback" not in first and "error" not in first
    assert "North " in shell("\x15esap-wf run irf --param site=N\t", "North ")
    assert "site=" in shell("\x15esap-wf run irf --param si\t", "site=")
    assert "South " in shell("S\t", "South "), "no space was put behind the name"
    assert world.hello in shell(f"\x15esap-wf logs {world.hello[:7]}\t", world.hello)


def test_a_real_fish_completes_runs_and_values(world: Any) -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish: make services")
    asked = "esap-wf completion fish | source; complete -C 'esap-wf status bro'; complete -C 'esap-wf run irf --site N'"
    environment = {**os.environ, **world.cli.environment, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["fish", "--no-config", "-c", asked],
        env=environment,
        cwd=world.cli.root,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["broken", "North"], done
