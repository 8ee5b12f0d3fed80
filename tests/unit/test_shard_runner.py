"""The shard runner of rules/: many units in one process, each with a result, a log and a line of its own."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from helpers.shards import RUNNER, Shard, module
from helpers.waiting import until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: Writes the unit's name, and a line to an account that it keeps outside.
WRITE = [
    "bash",
    "-c",
    'echo "$1" >> account; echo "working on $1"; echo "$1" > "$2"',
    "-",
    "{unit}",
    "{result}",
]
#: Waits for a file `go`.
WAIT = [
    "bash",
    "-c",
    'touch "begun-$1"; while [ ! -e go ]; do sleep 0.02; done; echo "$1" > "$2"',
    "-",
    "{unit}",
    "{result}",
]
NAMES = [f"u{i}" for i in range(1, 9)]


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    return Shard(tmp_path, NAMES)


def executed(shard: Shard) -> Counter[str]:
    account = shard.folder / "account"
    return Counter(account.read_text("utf-8").split() if account.exists() else [])


def test_each_unit_has_a_result_a_log_and_usage_of_its_own(shard):
    done = shard.run("--slots", "3", command=WRITE)
    assert done.returncode == 0, done.stderr
    for name, unit in shard.manifest.items():
        (result,) = unit["results"]
        data = (shard.folder / result["path"]).read_bytes()
        assert (data, result["bytes"], result["sha256"]) == (
            f"{name}\n".encode(),
            len(data),
            hashlib.sha256(data).hexdigest(),
        )
        assert (shard.folder / "logs" / f"{name}.log").read_text("utf-8") == f"working on {name}\n"
        assert unit["exit_code"] == 0 and unit["executions"] == 1
    lines = shard.lines("done")
    assert sorted(line["unit"] for line in lines) == NAMES
    assert all(
        line["cpu_seconds"] >= 0 and line["memory_bytes"] > 0 and line["seconds"] >= 0 for line in lines
    )
    assert not list(shard.folder.glob("journals/unit/*.tmp"))


def test_a_part_of_the_list_is_a_shard_of_its_own(shard):
    assert shard.run("--part", "3-5", command=WRITE).returncode == 0
    assert list(shard.manifest) == ["u3", "u4", "u5"]
    assert [path.name for path in shard.journals()] == ["0000003-0000005.1.jsonl"]


def test_numbers_are_units_without_a_list(shard):
    done = shard.run(
        "--numbers",
        "7-20",
        "--digits",
        "3",
        "--part",
        "2-3",
        command=["bash", "-c", 'echo "$0" > "$1"', "{number}", "{result}"],
    )
    assert done.returncode == 0, done.stderr
    assert (shard.folder / "made/008.txt").read_text("utf-8") == "8\n" and list(shard.manifest) == [
        "008",
        "009",
    ]


def test_a_list_of_some_units_says_with_which_number_it_begins(shard):
    assert shard.run("--begin", "101", command=WRITE).returncode == 0
    assert [path.name for path in shard.journals()] == ["0000101-0000108.1.jsonl"]


def test_all_units_may_have_a_value_and_a_file_among_them_counts(shard):
    (shard.folder / "table").write_text("1")
    command = ["bash", "-c", 'echo "$0" >> account; cat "$2" > "$1"', "{unit}", "{result}", "{table}"]
    for content, times in (("1", 1), ("1", 1), ("2", 2)):
        if (shard.folder / "table").read_text("utf-8") != content:
            (shard.folder / "table").write_text(content)
        assert shard.run("--value", "table=table", command=command).returncode == 0
        assert set(executed(shard).values()) == {times}


def test_values_are_never_a_part_of_a_shell_line(shard):
    hostile = "$(touch x); `touch x` && {unit} '\"\\ \n end"
    shard.write([{"unit": "u1", "text": hostile, "number": 3, "flag": True, "nothing": None}])
    command = [
        "bash",
        "-c",
        'printf "%s|" "$@" > "$0"',
        "{result}",
        "{text}",
        "n={number}",
        "{flag}",
        "{nothing}",
        "{{unit}}",
        '{"a": 1}',
    ]
    assert shard.run(command=command).returncode == 0
    assert (shard.folder / "made/u1.txt").read_text("utf-8") == f'{hostile}|n=3|true||{{unit}}|{{"a": 1}}|'
    assert not (shard.folder / "x").exists()


def test_a_failed_unit_does_not_keep_the_others_from_running(shard):
    command = [
        "bash",
        "-c",
        'echo "$1" >> account; [ -e mended ] || [ "$1" != u3 ] || { echo broken; exit 7; }; echo > "$2"',
        "-",
        "{unit}",
        "{result}",
    ]
    failed = shard.run(command=command)
    assert failed.returncode == 1
    assert (
        "1 of 8 units failed: u3" in failed.stderr
        and "unit u3 failed: exit code 7, see logs/u3.log" in failed.stderr
    )
    assert not (shard.folder / "manifest.json").exists()
    (line,) = shard.lines("failed")
    assert (line["unit"], line["exit_code"], line["reason"]) == ("u3", 7, "EXIT_CODE")
    assert (shard.folder / "logs/u3.log").read_text("utf-8") == "broken\n"
    (shard.folder / "mended").touch()
    assert shard.run(command=command).returncode == 0
    assert executed(shard) == Counter(NAMES) + Counter(["u3"]), "only the failed one is done again"
    assert list(shard.manifest) == NAMES
    assert shard.lines("end")[-1]["again"] == 0, "an attempt that has failed was not lost"


def test_a_unit_can_be_tried_more_than_once(shard):
    command = [
        "bash",
        "-c",
        'echo "$1" >> account; [ $(grep -cx "$1" account) = 3 ] || kill -9 $$; echo > "$2"',
        "-",
        "{unit}",
        "{result}",
    ]
    assert shard.run("--attempts", "2", command=command).returncode == 1
    assert {line["reason"] for line in shard.lines("failed")} == {"SIGNAL"}
    assert shard.run("--attempts", "2", command=command).returncode == 0
    assert set(executed(shard).values()) == {3}


def test_a_result_that_is_not_made_is_a_failure(shard):
    done = shard.run(command=["true"])
    assert done.returncode == 1
    assert {line["reason"] for line in shard.lines("failed")} == {"MISSING_OUTPUT"}
    assert "it made no u1.txt" in done.stderr


def test_what_is_done_with_the_same_values_is_not_done_again(shard):
    script = shard.folder / "script.sh"
    script.write_text('echo "$1" >> account; echo "$1 $3" > "$2"\n')
    command = ["bash", "script.sh", "{unit}", "{result}", "{value}"]

    def run(**values: str) -> Counter[str]:
        shard.write([{"unit": name, "value": values.get(name, "a")} for name in NAMES])
        (shard.folder / "account").unlink(missing_ok=True)
        done = shard.run("--depends", "table", command=command)
        assert done.returncode == 0, done.stderr
        return executed(shard)

    (shard.folder / "table").write_text("1")
    assert run() == Counter(NAMES)
    assert not run()
    assert run(u2="b") == Counter(["u2"]), "another value"
    (shard.folder / "made/u5.txt").unlink()
    assert run(u2="b") == Counter(["u5"]), "its result has gone"
    (shard.folder / "table").write_text("2")
    assert run(u2="b") == Counter(NAMES), "what all depend on has changed"
    script.write_text(script.read_text("utf-8") + "# another\n")
    assert run(u2="b") == Counter(NAMES), "a file that the command names has changed"
    assert all(unit["executions"] > 1 for unit in shard.manifest.values())


def test_a_result_of_another_size_than_its_journal_says_is_made_again(shard):
    assert shard.run(command=WRITE).returncode == 0
    (shard.folder / "made/u1.txt").write_text("")
    assert shard.run(command=WRITE).returncode == 0
    assert executed(shard) == Counter({**dict.fromkeys(NAMES, 1), "u1": 2})
    assert (shard.folder / "made/u1.txt").stat().st_size == shard.manifest["u1"]["results"][0]["bytes"]


def test_a_unit_whose_last_line_is_torn_is_done_again_and_counts_as_that(shard):
    assert shard.run(command=WRITE).returncode == 0
    (journal,) = shard.journals()
    lines = journal.read_bytes().splitlines(keepends=True)
    last = next(n for n in reversed(range(len(lines))) if b'"kind":"done"' in lines[n])
    torn = json.loads(lines[last])["unit"]
    journal.write_bytes(b"".join(lines[:last]) + lines[last][:-9])
    assert shard.run(command=WRITE).returncode == 0
    assert [line["unit"] for line in shard.lines("start") if line.get("again")] == [torn]
    assert executed(shard) == Counter({**dict.fromkeys(NAMES, 1), torn: 2})


@pytest.mark.parametrize(
    ("environment", "job"),
    [
        ({"SLURM_JOB_ID": "17"}, "17"),
        ({"PBS_JOBID": "17[3].head"}, "17[3].head"),
        ({"JOB_ID": "5", "SGE_TASK_ID": "undefined"}, "5"),
        ({"JOB_ID": "5"}, None),
        ({"SLURM_JOB_ID": "1\n<b>"}, None),
        ({}, None),
    ],
)
def test_a_journal_names_the_batch_job_that_it_is_in(environment, job):
    assert module("shard_journal").batch_job(environment) == job


def test_another_cut_of_the_units_repeats_nothing(shard):
    for part in ("1-4", "5-8"):
        assert shard.run("--part", part, command=WRITE).returncode == 0
    assert shard.run("--part", "3-8", command=WRITE).returncode == 0
    assert executed(shard) == Counter(NAMES)


def test_a_script_is_imported_once_and_called_for_each_unit(shard):
    (shard.folder / "units.py").write_text(
        "import os, sys\n"
        "open('imports', 'a').write('imported\\n')\n"
        "def unit(values, results):\n"
        "    print('called for', values['unit'])\n"
        "    if values['unit'] == 'u2': sys.exit(9)\n"
        "    if values['unit'] == 'u3': raise ValueError('no such thing')\n"
        "    if values['unit'] == 'u4': os.kill(os.getpid(), 9)\n"
        "    open(results['result'], 'w').write(values['unit'])\n"
    )
    done = shard.run("--call", "units.py")
    assert done.returncode == 1
    assert (shard.folder / "imports").read_text("utf-8") == "imported\n"
    assert {line["unit"]: (line["exit_code"], line["reason"]) for line in shard.lines("failed")} == {
        "u2": (9, "EXIT_CODE"),
        "u3": (1, "EXIT_CODE"),
        "u4": (None, "SIGNAL"),
    }
    assert "ValueError: no such thing" in (shard.folder / "logs/u3.log").read_text("utf-8")
    assert len(shard.lines("done")) == 5


def test_results_are_kept_beside_the_journal_and_given_to_the_attempt(shard, tmp_path):
    journals = tmp_path / "elsewhere"
    environment = {**os.environ, "SHARD_JOURNAL": str(journals)}
    arguments = shard.arguments("--give", ".", command=WRITE)
    at = arguments.index("--journal")
    del arguments[at : at + 2]
    done = subprocess.run(
        arguments, cwd=shard.folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    kept, given = journals / "unit/kept/made/u1.txt", shard.folder / "made/u1.txt"
    assert kept.samefile(given)


# --- being ended


def test_units_at_work_may_finish_when_the_shard_is_asked_to_end(shard):
    runner = shard.start("--slots", "2", command=WAIT)
    until(lambda: (shard.folder / "begun-u2").exists())
    runner.send_signal(signal.SIGTERM)
    (shard.folder / "go").touch()
    assert runner.wait(60) == 143
    assert sorted(line["unit"] for line in shard.lines("done")) == ["u1", "u2"]
    assert shard.lines("end")[-1]["left"] == 6
    assert shard.run(command=WAIT).returncode == 0
    assert len(shard.lines("start")) == 8


def test_units_that_do_not_finish_in_the_grace_are_killed_and_have_not_failed(shard):
    runner = shard.start("--slots", "2", "--grace", "0", command=WAIT)
    until(lambda: (shard.folder / "begun-u2").exists())
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(60) == 143
    assert not shard.lines("failed") and len(shard.lines("stopped")) == 2
    (shard.folder / "go").touch()
    assert shard.run(command=WAIT).returncode == 0
    assert shard.lines("end")[-1]["again"] == 0


def test_a_shard_that_is_killed_at_any_moment_loses_nothing_and_accepts_nothing_twice(tmp_path):
    names = [f"u{i:03d}" for i in range(60)]
    shard = Shard(tmp_path, names)
    chance = random.Random(7)
    kills = 0
    while kills < 8:
        runner = shard.start("--slots", "2", command=WRITE)
        goal = len(shard.lines("start")) + chance.randrange(1, 9)
        until(lambda: len(shard.lines("start")) >= goal or runner.poll() is not None)  # noqa: B023
        runner.kill()
        if runner.wait(60) == 0:
            break
        kills += 1
    done = shard.run("--slots", "2", command=WRITE)
    assert done.returncode == 0, done.stderr
    assert kills >= 3
    witness, told = executed(shard), {name: unit["executions"] for name, unit in shard.manifest.items()}
    assert sorted(told) == names, "none is lost"
    assert all(witness[name] <= told[name] for name in names), "every execution was told"
    # a result that was given out, but not written down, is made again; what is written down is not
    last: dict[str, int] = {}
    for number, path in enumerate(shard.journals()):
        for raw in path.read_bytes().splitlines():
            line = json.loads(raw)
            if line["kind"] == "start":
                assert last.get(line["unit"]) is None, f"{line['unit']} was accepted, and is begun again"
            elif line["kind"] == "done":
                last[line["unit"]] = number
    for unit in shard.manifest.values():
        assert (
            hashlib.sha256((tmp_path / unit["results"][0]["path"]).read_bytes()).hexdigest()
            == unit["results"][0]["sha256"]
        )


def test_a_lost_attempt_that_wakes_up_can_give_out_nothing(shard):
    lost = shard.start("--slots", "1", command=WAIT)
    until(lambda: (shard.folder / "begun-u1").exists())
    lost.send_signal(signal.SIGSTOP)
    later = shard.start("--slots", "2", command=["bash", "-c", 'echo later > "$1"', "-", "{result}"])
    assert later.wait(60) == 0
    assert later.stderr and "1 executed again" in later.stderr.read()
    (shard.folder / "go").touch()
    lost.send_signal(signal.SIGCONT)
    assert lost.wait(60) == 75
    assert lost.stderr and "another attempt at this shard has taken over" in lost.stderr.read()
    assert {path.read_text("utf-8") for path in (shard.folder / "made").iterdir()} == {"later\n"}
    assert shard.manifest["u1"]["executions"] == 2


# --- what comes from outside


@pytest.mark.parametrize(
    ("units", "options", "command", "says"),
    [
        ([{"unit": "../x"}], (), ["true"], "units.jsonl:1: `unit` is '../x', and must be a plain name"),
        ([{"unit": "a b"}], (), ["true"], "must be a plain name"),
        ([{"unit": "-rf"}], (), ["true"], "must be a plain name"),
        ([{"unit": "a\n"}], (), ["true"], "must be a plain name"),
        ([{"unit": 3}], (), ["true"], "must be a plain name"),
        ([{"name": "a"}], (), ["true"], "`unit` is None"),
        (["a", "b", "a"], (), ["true"], "units.jsonl:3: the unit a is there twice"),
        ([], (), ["true"], "is empty: units.jsonl has 0 units"),
        (["a"], ("--part", "5-9"), ["true"], "the shard of units 5 to 9 is empty: units.jsonl has 1 units"),
        (["a"], ("--part", "0-9"), ["true"], "--part is '0-9', and must be like 201-300"),
        (["a"], ("--part", "9-1"), ["true"], "must be like 201-300"),
        (["a"], ("--part", "1-1000000000"), ["true"], "one shard has at most 1000000 units"),
        (["a"], ("--numbers", "1-x"), ["true"], "--numbers is '1-x'"),
        (["a"], ("--slots", "0"), ["true"], "--slots is 0"),
        (["a"], ("--step", "../x"), ["true"], "--step is '../x'"),
        (["a"], (), [], "say what a unit does"),
        (["a"], (), ["no-such-program-here"], "there is no program no-such-program-here"),
        (["a"], (), ["echo", "{value}"], "there is no value 'value' for unit a; there are: result, unit"),
        (["a", "b"], ("--result", "x=one.txt"), ["true"], "one.txt would be written by the units a and b"),
        (["a"], ("--result", "x=/etc/{unit}"), ["true"], "must be a relative path without .."),
        (
            [{"unit": "a", "to": "../.."}],
            ("--result", "x={to}/b"),
            ["true"],
            "must be a relative path without ..",
        ),
        (["a"], ("--result", "x=b/{unit}.txt"), ["true"], "have the same base name"),
        ([{"unit": "a", "v": "\0"}], (), ["echo", "{v}"], "holds a null character"),
        (["a"], ("--depends", "nothing-here"), ["true"], "there is no such file"),
        (["a"], ("--call", "nothing.py"), [], "there is no such script"),
        (["a"], ("--call", "units.jsonl"), [], "a script's name ends in .py"),
        (
            ["a"],
            ("--call", str(RUNNER / "shard_files.py") + ":nothing"),
            [],
            "has no function nothing(values, results)",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_begins(tmp_path, units, options, command, says):
    shard = Shard(tmp_path, units)
    done = shard.run(*options, command=command)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("shard: error: ") and says in done.stderr
    assert not shard.lines("start")


def test_a_folder_that_cannot_be_written_is_an_error(shard):
    (shard.folder / "journals").write_text("a file")
    done = shard.run(command=WRITE)
    assert done.returncode == 74 and "can't be written" in done.stderr


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    torn=st.binary(max_size=80),
    lines=st.lists(
        st.sampled_from(
            [
                b"\xff\n",
                b"{}\n",
                b"[]\n",
                b'{"kind":"done","unit":"u1"}\n',
                b'{"kind":"start","unit":{}}\n',
                b"\n",
            ]
        ),
        max_size=6,
    ),
)
def test_whatever_an_earlier_journal_holds_each_unit_is_done(tmp_path_factory, torn, lines):
    shard = Shard(tmp_path_factory.mktemp("shard"), NAMES[:2])
    folder = shard.folder / "journals/unit"
    folder.mkdir(parents=True)
    (folder / "0000001-0000002.1.jsonl").write_bytes(b"".join(lines) + torn)
    done = shard.run(command=WRITE)
    assert done.returncode == 0, done.stderr
    assert executed(shard) == Counter(NAMES[:2])
    assert sorted(shard.manifest) == NAMES[:2]


@given(template=st.text(max_size=30), value=st.text(max_size=30))
def test_a_value_stands_where_its_name_stood_and_nowhere_else(template, value):
    units = module("shard_units")
    escaped = template.replace("{", "{{").replace("}", "}}")
    assert units.filled(f"{escaped}{{v}}{escaped}", {"v": value}) == template + value + template


@given(st.text(max_size=20))
def test_a_name_that_is_taken_is_one_part_of_a_path(name):
    units = module("shard_units")
    if units.NAME.fullmatch(name):
        assert Path(name).name == name and not name.startswith((".", "-")) and "\n" not in name
