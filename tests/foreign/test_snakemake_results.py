"""What is the result of a Snakemake pipeline: what it was asked for, as Snakemake itself evaluates it, wherever it works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.command_line import Done, Place
from helpers.files import write_files
from hypothesis import example, given
from hypothesis import strategies as st

from esap_wf.engines.snakemake import constants, declarations, interface, snakefile
from esap_wf.engines.snakemake.engine import Snakemake

SNAKEMAKE = Path(sys.prefix) / "bin" / "snakemake"
needs_snakemake = pytest.mark.skipif(
    not SNAKEMAKE.exists(), reason="snakemake is not installed beside this Python"
)
Inside = Callable[..., Done]

PIPELINES = Path(__file__).with_name("pipelines") / "snakemake"
#: Targets that only Snakemake can evaluate, below a folder that the configuration names: a file, folders with and without content, links.
TARGETS = (PIPELINES / "targets/Snakefile").read_text()


@pytest.mark.integration
@needs_snakemake
def test_targets_are_results_wherever_they_are_and_whatever_they_are(
    place: Place, inside: Inside, tmp_path: Path
) -> None:
    folder = write_files(
        tmp_path / "p",
        {
            "Snakefile": TARGETS,
            "config.yaml": "place: data\nout: final\nsamples: [a, b]\nraw: raw.txt\n",
            "data/here.txt": "5\n",
            "data/raw.txt": "raw\n",
        },
    )
    (tmp_path / "mine.txt").write_text("mine\n")
    done = inside("run", folder, "--raw", tmp_path / "mine.txt", "--out", "other", "--json")
    assert done.code == 0, done.err
    reported = inside("results", done.json["run"], "--json").json
    base = "project/data/"
    expected = {
        "other/a.txt",
        "other/b.txt",
        "other/plots/",
        "other/plots/a/1.txt",
        "other/plots/a/empty/",
        "other/plots/b/1.txt",
        "other/plots/b/empty/",
        "bare/",
        "staged.txt",
    }
    assert {o["path"].removeprefix(base) for o in reported["outputs"]} == expected
    assert [w.split("plots/")[1] for w in reported["warnings"] if "not among the results" in w] == [
        "hosts is a link that leads out of the run directory, to /etc/hosts"
    ]
    assert inside("results", done.json["run"], "--copy-to", tmp_path / "to").code == 0
    copied = tmp_path / "to" / base
    assert (copied / "other/a.txt").read_text() == "5\n"
    assert (copied / "staged.txt").read_text() == "mine\n"
    assert not (copied / "staged.txt").is_symlink()
    assert (copied / "bare").is_dir()


#: Its first rule is no target; nothing says what the rule behind the marker leaves, and it writes where it reads.
MARKED = """\
configfile: "config.yaml"
rule raw:
    output: "never.txt"
    shell: "touch {output}"
rule marked:
    default_target: True
    input: "done.flag"
rule work:
    input: config["raw"]
    output: touch("done.flag")
    shell: "cat {input} > kept.csv; mkdir empty; echo more >> {input}; echo x > x.tmp; mkdir logs; echo l > logs/l.txt; ln -s {input} link"
"""


@pytest.mark.integration
@needs_snakemake
def test_if_the_target_is_only_a_mark_what_appeared_is_the_result_and_changed_inputs_are_reported(
    place: Place, inside: Inside, tmp_path: Path
) -> None:
    folder = write_files(
        tmp_path / "p",
        {"Snakefile": MARKED, "config.yaml": "raw: raw.txt\n", "raw.txt": "raw\n", "own.csv": "own\n"},
    )
    (tmp_path / "mine.txt").write_text("mine\n")
    done = inside("run", folder, "--raw", tmp_path / "mine.txt", "--json")
    assert done.code == 0, done.err
    reported = inside("results", done.json["run"], "--json").json
    assert [o["path"].removeprefix("project/") for o in reported["outputs"]] == [
        "done.flag",
        "empty/",
        "kept.csv",
    ]
    assert "as a guess" in "\n".join(reported["warnings"])
    assert f"{tmp_path}/mine.txt was changed since the run was planned" in "\n".join(reported["warnings"])


@pytest.mark.integration
@needs_snakemake
def test_a_run_without_a_result_says_so_and_where_it_went(
    place: Place, inside: Inside, tmp_path: Path
) -> None:
    text = 'configfile: "c.yaml"\nrule all:\n    output: config["out"]\n    shell: "echo 1 > {output}"\n'
    folder = write_files(tmp_path / "p", {"Snakefile": text, "c.yaml": "out: x.txt\n"})
    done = inside("run", folder, "--out", tmp_path / "elsewhere.txt")
    assert (done.code, (tmp_path / "elsewhere.txt").read_text()) == (0, "1\n")
    first = done.out.splitlines()[0]
    assert " COMPLETED without a result in " in first
    assert f"{tmp_path}/elsewhere.txt is outside of the run directory" in done.out
    status = inside("status", first.split()[0])
    assert "COMPLETED without a result" in status.out.splitlines()[0]
    assert "warning: there is no result" in status.out
    # what is there already, and was named, is not written over
    (tmp_path / "elsewhere.txt").write_text("precious")
    os.utime(tmp_path / "elsewhere.txt", (1, 1))
    refused = inside(
        "run", folder, "--out", tmp_path / "elsewhere.txt", "--if-exists", "rerun", "--", "--forceall"
    )
    assert refused.code == 1
    assert f"rule all would write over {tmp_path}/elsewhere.txt, which this run was given" in refused.out
    assert (tmp_path / "elsewhere.txt").read_text() == "precious"


ITEMS = """\
rule first:
    input: "a.txt", "b.txt"
rule b:
    output: "b.txt", "b.log"
    shell: "touch {output}"
rule a:
    output: "a.txt"
    shell: "touch {output}"
"""


@pytest.mark.integration
@needs_snakemake
def test_snakemake_tells_its_targets_also_if_nothing_is_to_be_done(tmp_path: Path) -> None:
    run = write_files(tmp_path / "run", {"project/Snakefile": ITEMS, "engine/x": "", "plan.json": "{}"})
    for epoch, target in ((1, ["a.txt", "b"]), (2, []), (3, [])):
        added = Snakemake().launch_additions(run, epoch, resume=epoch > 1)
        command = [
            str(SNAKEMAKE),
            "--snakefile",
            "project/Snakefile",
            "--directory",
            "project",
            "--cores",
            "1",
            *target,
            *added.arguments,
        ]
        subprocess.run(
            command, cwd=run, env={**os.environ, **added.environment}, check=True, capture_output=True
        )
        reported = Snakemake().results(run, epoch)
        assert reported is not None
        also = {"b.log"} if epoch == 1 else set()
        assert {p.removeprefix("project/") for p in reported.paths or []} == {"a.txt", "b.txt"} | also


@pytest.mark.parametrize(
    "expected",
    [
        'rule a:\n    output: config["x"]\n',
        'rule a:\n    output: os.path.join(config["x"], "t.txt")\n',
        'rule a:\n    output: temp(config["x"] + "/{s}.txt")\n',
        "rule a:\n    output: f\"{config['x']}/t.txt\"\n",
        'X = config["x"]\nrule a:\n    output: expand(X + "/{s}.txt", s=config["y"])\n',
        'X = Path(config.get("x", "d"))\nY = X / "sub"\nrule a:\n    output:\n        one=Y / "t.txt",\n        two="o.txt"\n',
        'rule a:\n    output: "o.txt"\n    log: "{}/l.txt".format(config["x"])\n',
        'if True:\n    X = config["x"]\n    rule a:\n        output: directory(X)\n',
    ],
)
def test_a_value_that_says_where_rules_write_is_no_input(tmp_path: Path, expected: str) -> None:
    folder = write_files(
        tmp_path,
        {
            "Snakefile": f'import os\nconfigfile: "c.yaml"\n{expected}',
            "c.yaml": "x: d/t.csv\ny: y.csv\n",
            "d/t.csv": "",
            "y.csv": "",
        },
    )
    found = interface.derive(folder, None)
    assert found is not None
    assert found.inputs.keys() == {"y"}
    assert "x" in found.schema["properties"]
    assert declarations.written(snakefile.read_snakefile(folder / "Snakefile", folder)) == {"x"}


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        ('os.path.join(config["out"], "t.txt")', ["final/t.txt"]),
        ('expand("{o}/{s}.txt", o=config["out"], s=config["many"])', ["final/a.txt", "final/b.txt"]),
        ('lambda wc: expand("o/{s}.txt", s=config.get("none", ["n"]))', ["o/n.txt"]),
        ('[Path(OUT) / "t.txt", f"{OUT}/u.txt"]', ["final/t.txt", "final/u.txt"]),
        ('expand(rules.a.output, s="a")', []),
        ("lambda wc: wc.s", []),
        ("unknown(OUT)", []),
        ('"d/"', ["d"]),
        ('config["absent"] + "/t.txt"', []),
    ],
)
def test_targets_are_shown_where_the_configuration_tells_them_and_not_guessed_elsewhere(
    tmp_path: Path, wanted: str, paths: list[str]
) -> None:
    text = f'configfile: "c.yaml"\nOUT = config["out"]\nrule all:\n    input: {wanted}\n'
    folder = write_files(
        tmp_path, {"Snakefile": text, "c.yaml": json.dumps({"out": "final", "many": ["a", "b"]})}
    )
    found: Any = interface.derive(folder, None)
    assert [o.path.removeprefix("project/") for o in found.outputs] == paths
    assert all(o.guess for o in found.outputs)


@given(st.text(alphabet="config[]\"'ab.()+/,{}:=lmdwc \n", max_size=60))
@example("a+" * 5000 + "a")
@example("config" + '["a"]' * 3000)
@example("x(" * 80 + ")" * 80)
def test_no_expression_breaks_what_reads_it(text: str) -> None:
    for node in constants.parsed(text):
        constants.keys(node, {"a": {"b"}})
        constants.texts(node, {"a": ["x", 1]}, {"b": node})
