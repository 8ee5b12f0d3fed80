"""Task types: a container with a command, a notebook, a serial workflow of REANA."""

from __future__ import annotations

import html.parser
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Place
from helpers.files import write_files
from helpers.processes import of_run
from helpers.repositories import commit
from helpers.waiting import until
from hypothesis import given
from hypothesis import strategies as st
from services import containers, engines
from services.containers import Runtimes, container_runtimes  # noqa: F401

from esap_wf import plugins, tasks
from esap_wf.engines.command.engine import _line, _quoted
from esap_wf.software.containers.runtime import label_of
from esap_wf.tasks import HERE, Step
from esap_wf.tasks.notebook import Notebook

ROOT = Path(__file__).parents[2]


# --- types


def test_types_are_named_by_uris() -> None:
    usable, broken = plugins.load(tasks.GROUP)
    assert not broken
    assert set(usable) == {tasks.PIPELINE, tasks.NOTEBOOK, tasks.CONTAINER, tasks.SERIAL}
    assert (
        tasks.NOTEBOOK == "https://www.purl.org/ivoa.net/EB/schema/v1.0/types/executable/jupyter-notebook-1.0"
    )
    assert all(":" in name for name in usable)


def test_a_file_says_which_type_it_is() -> None:
    assert tasks.of("notebook", "a/b.ipynb") == tasks.NOTEBOOK
    assert tasks.of("command", "task.yaml") == tasks.CONTAINER
    assert tasks.of("command", "reana-serial.yaml") == tasks.SERIAL
    assert tasks.of("snakemake", "Snakefile") == tasks.PIPELINE


# --- words


@given(
    st.lists(
        st.text(st.characters(blacklist_characters="\x00", blacklist_categories=["Cs"]), max_size=20),
        min_size=1,
        max_size=5,
    )
)
def test_words_reach_the_program_as_they_are(words: list[str]) -> None:
    line = _line(1, Step("x", words))
    printed = subprocess.run(
        ["bash", "-c", f'step() {{ shift 3; printf "%s\\0" "$@"; }}; here=/h; {line}'],
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert printed.split("\0")[:-1] == [w.replace(HERE, "/h") for w in words]


def test_the_place_of_the_run_is_filled_in_when_it_runs() -> None:
    text = _quoted(f"--bind={HERE}/a b:{HERE}")
    printed = subprocess.run(
        ["bash", "-c", f'here="/x y"; printf %s {text}'], capture_output=True, text=True, check=True
    )
    assert printed.stdout == "--bind=/x y/a b:/x y"


# --- a command on this machine (a manifest names the software)


TASK = {
    "task.yaml": """\
command: [python3, code.py, --n, "{n}", [--label, "{label}"], "--flag={flag}", "{{literal}}", [--files, "{files}"]]
""",
    "workflow.yaml": json.dumps(
        {
            "schema_version": 1,
            "name": "argv",
            "title": "Words",
            "version": "1.0.0",
            "implementations": [{"engine": "command", "file": "task.yaml", "config": "plain"}],
            "inputs": {"files": {"title": "files", "required": False, "many": True}},
            "software": [{"installed": ["python3"]}],
            "outputs": [{"name": "words", "path": "outputs/words.json"}],
        }
    ),
    "params.schema.json": json.dumps(
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "n": {"type": "integer", "title": "n", "default": 3},
                "label": {"type": ["string", "null"], "title": "label"},
                "flag": {"type": "boolean", "title": "flag", "default": True},
            },
        }
    ),
    "README.md": "x\n",
}
CODE = "import json, sys\nif '13' in sys.argv: sys.exit('thirteen is not taken')\njson.dump(sys.argv[1:], open('outputs/words.json', 'w'))\n"


@pytest.fixture
def words(tmp_path: Path) -> Path:
    folder = write_files(tmp_path / "argv", TASK)
    program = write_files(tmp_path, {"code.py": CODE}) / "code.py"
    (folder / "task.yaml").write_text(TASK["task.yaml"].replace("code.py", str(program)))
    return folder


@pytest.mark.integration
def test_parameters_and_inputs_are_whole_words(words: Path, place: Place, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a b.txt", "$(touch x);'.txt")]
    for file in files:
        file.write_text("x")
    label = "two words; $(touch pwned) 'x' \"y\" *"
    assert place.inside("lint", words).code == 0
    done = place.inside("run", words, "--label", label, *(f"--input=files={f}" for f in files), "--json")
    assert done.code == 0, done.err
    run = Path(done.json["dir"])
    expected = ["--n", "3", "--label", label, "--flag=true", "{literal}", "--files", *map(str, files)]
    assert json.loads((run / "outputs/words.json").read_text()) == expected
    assert not list(run.rglob("pwned"))
    # without a value the words of the inner list are left out; the bare command does the same
    other = place.inside("run", words, "--json").json
    assert json.loads((Path(other["dir"]) / "outputs/words.json").read_text()) == [
        "--n",
        "3",
        "--flag=true",
        "{literal}",
    ]
    bare = subprocess.run(
        ["bash", "command.sh"], cwd=other["dir"], capture_output=True, text=True, check=False
    )
    assert bare.returncode == 0, bare.stderr


@pytest.mark.integration
def test_a_failed_command_says_its_last_word_and_is_resumed(
    words: Path, place: Place, tmp_path: Path
) -> None:
    done = place.inside("run", words, "--n", "13", "--json")
    assert done.code == 1
    status = place.inside("status", done.json["run"], "--json").json
    failure = status["failures"][0]
    assert (failure["step"], failure["exit_code"], failure["reason"]) == ("argv", 1, "EXIT_CODE")
    assert "thirteen is not taken" in failure["detail"]
    assert "thirteen is not taken" in place.inside("status", done.json["run"]).out
    (tmp_path / "code.py").write_text(CODE.replace("'13'", "'14'"))
    resumed = place.inside("resume", done.json["run"], "--json")
    assert resumed.code == 0, resumed.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("command: []\n", "must begin with the program"),
        ("command: [echo, '{']\n", "unmatched brace"),
        ("command: [echo, '{}']\n", "unmatched brace"),
        ("command: [echo, '{nn}']\nparameters: {n: {type: integer}}\nimage: x\n", "did you mean n?"),
        ("command: echo\nimage: x\n", "command"),
        ("command: [echo]\n", "image is missing"),
        ("command: [echo]\nimage: x\nshell: true\n", "shell"),
    ],
)
def test_a_broken_task_is_reported(
    tmp_path: Path, inside: Any, place: Place, text: str, expected: str
) -> None:
    done = inside("show", write_files(tmp_path / "t", {"task.yaml": text}), "--json")
    assert done.code == 2 and expected in done.problems, done.out


# --- in a container


@pytest.mark.integration
@pytest.mark.parametrize("runtime", ["apptainer", "docker"])
def test_a_bare_container_needs_no_change(
    place: Place,
    tmp_path: Path,
    container_runtimes: Runtimes,  # noqa: F811
    runtime: str,
) -> None:
    container_runtimes.need(runtime)
    (place.root / "config.toml").write_text(f'[containers]\nruntimes = ["{runtime}"]\n')
    built = place.inside(
        "software", "build", ROOT / "containers/noop", "--json", env=container_runtimes.environment
    )
    assert built.code == 0, built.err
    archive = next(p for p in place.root.rglob("*.tar*") if p.is_file())
    data = write_files(tmp_path / "da ta", {"in.txt": "a\nb\nc\n"}) / "in.txt"
    folder = write_files(
        tmp_path / "box",
        {
            "task.yaml": json.dumps(
                {
                    "image": str(archive),
                    "title": "Count",
                    "command": [
                        "sh",
                        "-c",
                        'wc -l < "$1" > outputs/n.txt; echo "$2" >> outputs/n.txt; test ! -e /work',
                        "sh",
                        "{data}",
                        "{word}",
                    ],
                    "parameters": {"word": {"type": "string", "default": "none"}},
                    "inputs": {"data": {"title": "lines"}},
                    "outputs": [{"name": "n", "path": "outputs/n.txt"}],
                }
            )
        },
    )
    word = "$(id) ; 'x'"
    done = place.inside(
        "run",
        folder / "task.yaml",
        f"--input=data={data}",
        "--word",
        word,
        "--json",
        env=container_runtimes.environment,
    )
    assert done.code == 0, done.err
    run = Path(done.json["dir"])
    assert (run / "outputs/n.txt").read_text() == f"3\n{word}\n"
    assert (run / "outputs/n.txt").stat().st_uid == os.getuid()
    plan = json.loads((run / "plan.json").read_text())
    assert plan["software"]["route"] == "container" and plan["software"]["container"]["digest"]
    if runtime == "docker":  # how what is left of it is found
        marked = [
            containers.made(plan["software"]["container"], label_of(run.name, epoch)) for epoch in (None, 1)
        ]
        assert len(marked[0]) == 1 and marked[0] == marked[1]


# --- a notebook


@pytest.fixture(scope="session")
def papermill() -> Path:
    """papermill from the engine's pins; kept between sessions."""
    return engines.program("notebook")


@pytest.fixture
def jupyter(place: Place, papermill: Path) -> Place:
    (place.root / "config.toml").write_text(f'[engines.notebook]\npath = "{papermill}"\n')
    return place


def notebook(folder: Path, *cells: tuple[str, str, list[str]]) -> Path:
    """A notebook of format 4.5."""
    made = [
        {
            "id": f"c{i}",
            "cell_type": kind,
            "metadata": {"tags": tags},
            "source": text.splitlines(keepends=True),
            **({"outputs": [], "execution_count": None} if kind == "code" else {}),
        }
        for i, (kind, text, tags) in enumerate(cells)
    ]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "x", "language": "python"},
        "language_info": {"name": "python"},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "squares.ipynb").write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": made})
    )
    return folder / "squares.ipynb"


PARAMETERS = 'n = 5  # how many\nscale: float = 1.0\ndata = "data.txt"  # numbers\noutput = "outputs/sum.txt"\nlabel = None\nbig = 2 * n\n'
WORK = """\
from pathlib import Path
numbers = [int(line) for line in Path(data).read_text().split()]
Path(output).parent.mkdir(exist_ok=True)
Path("beside.txt").write_text("what nobody announced")
Path(output).write_text(f"{sum(x * x for x in numbers[:n]) * scale} {label!r}")
assert n < 100, f"n is too large: {n} <b>"
"""


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    write_files(tmp_path / "nb", {"data.txt": "1 2 3 4 5 6"})
    return notebook(
        tmp_path / "nb",
        ("markdown", "# Sum of squares", []),
        ("code", PARAMETERS, ["parameters"]),
        ("code", WORK, []),
    )


def test_the_tagged_cell_is_the_interface(squares: Path, inside: Any, place: Place) -> None:
    reported = inside("show", squares, "--json").json
    known = reported["parameters"]["properties"]
    assert reported["title"] == "Sum of squares" and reported["name"] == "squares"
    assert known["n"] == {"title": "how many", "type": ["integer", "number"], "engine_default": 5}
    assert (
        known["scale"]["type"] == "number"
        and known["output"]["type"] == "string"
        and "type" not in known["label"]
    )
    assert set(known) == {"n", "scale", "output", "label", "big"}
    assert reported["inputs"]["data"]["engine_default"] == "data.txt"
    assert reported["derived_from"]["parameters.scale"] == "squares.ipynb: cell 2, line 2"


@pytest.mark.parametrize(
    "code",
    [
        'open(x, "w").write(open(y).read())',
        'with open(file=y) as f, open(x, mode="a") as g:\n    g.write(f.read())',
        "table.to_csv(x)",
        '%matplotlib inline\nplt.savefig(f"{x}.png")',
        'Path(x).write_text(open(y).read())\nopen(y, "rb")',
        "hdu.writeto(os.path.join(folder, x), overwrite=True)",
        "np.save(x, np.load(y))",
        "shutil.copy(y, x)",
        'Path(x).open("w")',
    ],
)
def test_a_file_that_a_notebook_writes_is_no_input(tmp_path: Path, code: str) -> None:
    file = notebook(
        tmp_path / "nb",
        ("code", 'x = "a.csv"\ny = "b.csv"\n', ["parameters"]),
        ("code", "!ls $x\n", []),
        ("code", code, []),
    )
    found = Notebook().interface(file, None)
    assert found is not None
    assert (set(found.inputs), set(found.schema["properties"])) == ({"y"}, {"x"})


class _Text(html.parser.HTMLParser):
    text = ""

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.integration
def test_a_notebook_is_executed_and_shown(squares: Path, jupyter: Place, tmp_path: Path) -> None:
    mine = write_files(tmp_path / "m y", {"mine.txt": "3 4"}) / "mine.txt"
    label = "'; import os; os._exit(3) #"
    done = jupyter.inside(
        "run", squares, "--n", "2", "--scale", "0.5", "--label", label, f"--input=data={mine}", "--json"
    )
    assert done.code == 0, done.err
    run = Path(done.json["dir"])
    assert (run / "project/outputs/sum.txt").read_text() == f"{(9 + 16) * 0.5} {label!r}"
    reported = {o["path"] for o in jupyter.inside("results", done.json["run"], "--json").json["outputs"]}
    assert reported == {
        "outputs/notebook.ipynb",
        "outputs/notebook.html",
        "project/outputs/sum.txt",
        "project/beside.txt",
    }
    page = _Text()
    page.feed((run / "outputs/notebook.html").read_text())
    assert "Sum of squares" in page.text and "sum(x * x" in page.text
    assert not (squares.parent / "outputs").exists()


@pytest.mark.integration
def test_a_notebook_reads_what_lies_above_it_as_in_a_clone(jupyter: Place, tmp_path: Path) -> None:
    code = """\
import sys
from pathlib import Path
sys.path.append('../src')
import mymod
Path('results').mkdir()
Path('results/o [1].txt').write_text(mymod.f() + Path('../data/d é.txt').read_text())
"""
    folder = write_files(
        tmp_path / "r é",
        {"src/mymod.py": "def f(): return '42 '\n", "data/d é.txt": "7", "x.log": "", ".gitignore": "*.log"},
    )
    file = notebook(folder / "note books [1]", ("code", code, []))
    commit(folder)
    done = jupyter.inside("run", file, "--json")
    assert done.code == 0, done.out + done.err
    run = Path(done.json["dir"])
    reported = {o["path"] for o in jupyter.inside("results", done.json["run"], "--json").json["outputs"]}
    result = "project/note books [1]/results/o [1].txt"
    assert reported == {"outputs/notebook.ipynb", "outputs/notebook.html", result}
    assert (run / result).read_text() == "42 7"
    assert not (run / "project/x.log").exists()
    assert not (file.parent / "results").exists(), "nothing is written into the repository"


@pytest.mark.integration
def test_the_failing_cell_is_the_first_line(squares: Path, jupyter: Place) -> None:
    done = jupyter.inside("run", squares, "--n", "100", "--json")
    assert done.code == 1
    shown = jupyter.inside("status", done.json["run"]).out
    assert "AssertionError: n is too large: 100 <b>" in next(
        line for line in shown.splitlines() if "execute" in line and ":" in line
    )
    executed = json.loads((Path(done.json["dir"]) / "outputs/notebook.ipynb").read_text())
    assert any(o["output_type"] == "error" for c in executed["cells"] for o in c.get("outputs", [])), (
        "what it did so far is kept"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "broken"),
        ("[]", "format 4"),
        ('{"nbformat": 3, "cells": []}', "format 4"),
        ('{"nbformat": 4, "cells": [1]}', "cells"),
        ('{"nbformat": 4, "cells": [], "metadata": {"language_info": {"name": "R"}}}', "language is r"),
    ],
)
def test_a_broken_notebook_is_reported(
    tmp_path: Path, inside: Any, place: Place, text: str, expected: str
) -> None:
    (tmp_path / "x.ipynb").write_text(text)
    done = inside("show", tmp_path / "x.ipynb", "--json")
    assert done.code == 2 and expected in done.problems


def test_pins_without_a_kernel_are_reported(squares: Path, inside: Any, place: Place) -> None:
    (squares.parent / "requirements.txt").write_text("numpy==2.0.0\n")
    reported = inside("show", squares, "--json").json
    assert reported["software"][0]["route"] == "python"
    assert any("ipykernel" in n for n in reported["notes"])


@pytest.mark.integration
@pytest.mark.parametrize("drain", [True, False])
def test_a_cancelled_task_leaves_nothing_and_goes_on_where_it_was(
    place: Place, tmp_path: Path, drain: bool
) -> None:
    steps = "\n".join(
        f"      - {{name: s{i}, environment: x, commands: ['echo {i} >> log.txt; sleep {1.5 if i == 2 else 0}']}}"
        for i in range(1, 5)
    )
    text = (
        f"workflow:\n  type: serial\n  specification:\n    steps:\n{steps}\noutputs: {{files: [log.txt]}}\n"
    )
    folder = write_files(tmp_path / "slow", {"reana.yaml": text})
    run = place.inside("run", folder, "--software", "installed", "--detach", "--json").json
    log = Path(run["dir"]) / "project/log.txt"
    until(lambda: log.is_file() and log.read_text() == "1\n2\n")
    ended = place.inside("cancel", run["run"], *(["--drain"] if drain else []), "--json")
    assert ended.code == 0, ended.err
    assert place.inside("status", run["run"], "--json").json["phase"] == "ABORTED"
    until(lambda: not of_run(Path(run["dir"])))  # the supervisor may need a moment after its last word
    assert log.read_text() == "1\n2\n", "no other step was begun"
    assert place.inside("resume", run["run"], "--json").code == 0
    assert log.read_text() == ("1\n2\n3\n4\n" if drain else "1\n2\n2\n3\n4\n"), (
        "a step that had ended is not repeated"
    )
