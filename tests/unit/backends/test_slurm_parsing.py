"""What Slurm's commands print is read as it is meant, whatever people have written into it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.backends.launcher import OutageError
from esap_wf.backends.slurm import accounting, parsing, words
from esap_wf.backends.slurm.pending import why

MARK = "~0123456789abcdef~"
HOSTILE = [
    "a|b",
    "two\nlines",
    "\n7|COMPLETED|0:0\n",
    '"; scancel 1; "',
    "JobState=COMPLETED ExitCode=0:0",
    "~0123~|~<~>",
    "Ω é \u202e \x1b[31m \u2028",
    "x" * 1000,
    "%i %j",
    "(null)x",
]
#: Whatever people write: they don't know the mark.
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=200).filter(lambda t: MARK not in t)


def squeue(*jobs: tuple[str, str, str, str]) -> str:
    """As ``squeue`` prints it: id, state, comment, name."""
    rows = []
    for one, state, comment, name in jobs:
        fields = [one, one.split("_")[0], state, "None", "n1", "1795785708", "N/A", "N/A", "main", "ann"]
        fields += ["/home/ann", comment, name]
        rows.append(f"{MARK}<" + f"{MARK}|".join(fields) + f"{MARK}>\n")
    return "".join(rows)


def sacct(*jobs: dict[str, str]) -> str:
    """As ``sacct`` prints it."""
    rows = []
    for job in jobs:
        has = {"JobIDRaw": job["JobID"], "State": "COMPLETED", "ExitCode": "0:0", "Cluster": "ci", **job}
        rows.append(MARK.join(has.get(column, "") for column in accounting.COLUMNS.split(",")) + "\n")
    return "".join(rows)


@pytest.mark.parametrize("text", HOSTILE)
def test_names_and_comments_confuse_no_line(text: str) -> None:
    told = squeue(("1", "RUNNING", text, text), ("2_3", "PENDING", "(null)", "b"))
    first, second = parsing.jobs(told, MARK)
    assert (first.id, first.state, first.comment, first.name) == ("1", "RUNNING", text, text)
    assert (second.id, second.state, second.comment) == ("2_3", "PENDING", "")
    row = {"JobName": text, "Comment": text}
    one, two = accounting.accounts(sacct({"JobID": "1", **row}, {"JobID": "2", **row}), MARK)
    assert (one.id, one.name, two.id, two.comment) == ("1", text, "2", text)


@given(st.lists(st.tuples(anything, anything), max_size=4))
def test_any_text_of_people_comes_back(texts: list[tuple[str, str]]) -> None:
    jobs = parsing.jobs(squeue(*((str(i + 1), "RUNNING", *t) for i, t in enumerate(texts))), MARK)
    assert [job.id for job in jobs] == [str(i + 1) for i in range(len(texts))]
    told = sacct(*({"JobID": str(i + 1), "Comment": c, "JobName": n} for i, (c, n) in enumerate(texts)))
    assert [a.id for a in accounting.accounts(told, MARK)] == [str(i + 1) for i in range(len(texts))]


@given(anything)
def test_nonsense_is_an_outage_and_never_an_end(text: str) -> None:
    for read in (parsing.jobs, accounting.accounts):
        if text.strip():
            with pytest.raises(OutageError, match="nonsense"):
                read(text, MARK)
        else:
            assert read(text, MARK) == []


@given(st.data())
def test_an_answer_that_was_cut_is_an_outage(data: st.DataObject) -> None:
    whole = squeue(("1", "RUNNING", "c", "n"), ("2", "RUNNING", "c", "n"))
    cut = data.draw(st.integers(0, len(whole) - 2))
    try:
        found = parsing.jobs(whole[:cut], MARK)
    except OutageError:
        return
    # between two lines nobody can tell
    assert cut == 0 or whole[:cut].rstrip("\n").endswith(">")
    assert len(found) <= 1


@pytest.mark.parametrize("one", ["", "0", "x", "1.batch", "-1", "1_", "1 2", "1_[a]", "1;id", "9" * 30])
def test_what_is_no_id_is_nonsense(one: str) -> None:
    with pytest.raises(OutageError):
        parsing.jobs(squeue((one, "RUNNING", "", "n")), MARK)


def test_members_of_an_array_are_jobs_of_their_own() -> None:
    told = squeue(("7_[1-3,9%2]", "PENDING", "", "n"), ("8+1", "PENDING", "", "n"))
    assert [job.id for job in parsing.jobs(told.replace("|8+1", "|8"), MARK)] == [
        "7_1",
        "7_2",
        "7_3",
        "7_9",
        "8+1",
    ]
    assert words.indexes("0-20:10,3") == [0, 10, 20, 3]
    assert words.indexes("1-") == []
    assert list(words.members("7_[1-2,...]")) == ["7_1", "7_2"]


def test_exit_codes_of_all_versions() -> None:
    told = "1     9\n2_1   256\n3 0\n4 3:0\n5 0:15\n"
    assert parsing.exits(told) == {"1": (0, 9), "2_1": (1, 0), "3": (0, 0), "4": (3, 0), "5": (0, 15)}
    for wrong in ("1", "1 x", "x 0", "1 0 0"):
        with pytest.raises(OutageError):
            parsing.exits(wrong)


def test_a_job_has_used_what_its_steps_have_used() -> None:
    told = sacct(
        {"JobID": "5_1", "JobIDRaw": "6", "TotalCPU": "00:02.500", "ElapsedRaw": "10"},
        {"JobID": "5_1.batch", "TotalCPU": "00:02.000", "MaxRSS": "1.50G"},
        {"JobID": "5_1.0", "TotalCPU": "00:00.500", "MaxRSS": "2000K", "JobName": "5_1\nx"},
        {"JobID": "5_1.extern", "MaxRSS": "0"},
    )
    (job,) = accounting.accounts(told, MARK)
    assert (job.id, job.raw, job.cpu_seconds, job.wall_seconds) == ("5_1", "6", 2.5, 10.0)
    assert job.memory_bytes == int(1.5 * 2**30)


def test_a_step_that_ran_out_of_memory_says_why_its_job_failed() -> None:
    told = sacct(
        {"JobID": "5", "State": "FAILED", "ExitCode": "1:0"},
        {"JobID": "5.0", "State": "OUT_OF_ME+", "ExitCode": "0:125"},
    )
    assert accounting.accounts(told, MARK)[0].state == "OUT_OF_MEMORY"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-02:03:04", 93784),
        ("02:03:04", 7384),
        ("03:04.500", 184.5),
        ("30", 1800),
        ("1-00", 86400),
        ("UNLIMITED", None),
        ("infinite", None),
        ("", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert words.duration(text) == seconds


@given(st.text())
def test_no_word_breaks_what_reads_it(text: str) -> None:
    words.moment(text), words.duration(text), words.amount(text), why(text)
    assert list(words.members(text)) == [] or words.is_id(text) or "[" in text


def test_times_are_seconds_or_as_slurm_writes_them() -> None:
    assert words.moment("1795785708") == 1795785708
    assert words.moment("2026-11-27T13:20:00") is not None
    assert words.moment("Unknown") is None
    assert words.amount("4000") == 4000
    assert words.amount("2G") == 2**31
    assert words.amount("2Gc") == 2**31


def test_records_of_scontrol() -> None:
    told = (
        "NodeName=n1 Arch=x86_64 CPUTot=4 OS=Linux 5.10 #1 SMP @0 State=IDLE Reason=State=DOWN by hand\n"
        "NodeName=n2 Gres=gpu:a100:2(S:0-1) Partitions=a,b\n"
    )
    first, second = words.records("scontrol", told, "NodeName")
    assert (first["State"], first["OS"]) == ("IDLE", "Linux 5.10 #1 SMP @0")
    assert second["Gres"] == "gpu:a100:2(S:0-1)"
    with pytest.raises(OutageError):
        words.records("scontrol", "slurm_load_node error\n", "NodeName")
