"""How a run is named, and what is said if that is not clear; problems of a request, all at once and in words."""

from __future__ import annotations

import pytest
from helpers.command_line import Place
from helpers.runs import make_run

from esap_wf.formats import patterns
from esap_wf.models.run import Phase
from esap_wf.runs.store import Run


@pytest.fixture
def runs(place: Place) -> list[Run]:
    return [
        make_run(place, "aaaa100000000001", name="my first run", ago=7300),
        make_run(
            place,
            "aaaa200000000002",
            workflow="/home/ada/pipelines/of-many-words/and-more/rnaseq",
            name="n" * 60,
            took=7500,
            ago=9e6,
        ),
        make_run(place, "abcd000000000003", Phase.ERROR, name="a/b", workflow="noop", owner="bob", ago=90),
    ]


def test_a_run_is_found_by_what_people_write(place: Place, runs: list[Run]) -> None:
    for text, run in (
        ("abcd", runs[2]),
        ("ABCD0000", runs[2]),
        (" abcd ", runs[2]),
        ("a/b", runs[2]),
        ("my first run", runs[0]),
    ):
        assert place.inside("status", text, "--json").json["run"] == run.id, text


def test_an_error_says_why_a_run_is_not_found(place: Place, runs: list[Run]) -> None:
    def said(*words: str) -> str:
        done = place.inside(*words, "--json")
        assert done.code == 2
        return done.problems

    several = said("status", "aaaa")
    assert "'aaaa' is ambiguous: 2 runs match" in several
    for run in runs[:2]:
        assert (
            f"{run.id}: workflow {run.record().workflow}, COMPLETED, created {run.record().created}"
            in several
        )
    assert "at least four characters" in said("status", "ab")
    assert f"{runs[2].id}: workflow noop, ERROR" in said("status", "ab")
    assert "did you mean my first run?" in said("logs", "my frist run")
    assert "is empty" in said("status", "")
    both = said("rm", "nobody", "aaaa", "abcd")
    assert "there is no run 'nobody'" in both
    assert "'aaaa' is ambiguous" in both
    assert runs[2].dir.exists(), "nothing is deleted if one is not clear"


def test_without_runs_the_first_command_is_told(place: Place) -> None:
    assert f"no runs yet in {place.store}: esap-wf run hello" in place.inside("list").out
    place.inside("store", "init")
    assert "esap-wf run hello" in place.inside("status", "first", "--json").problems


def test_every_problem_of_a_request_is_told_at_once_without_a_regular_expression(place: Place) -> None:
    (place.root / "r.yaml").write_text(
        'workflow: hello\nname: " "\ntags: ["x y"]\nparameters: {language: klingon, whoo: x}\nsize: 5\n'
    )
    by_file = place.inside("validate", "--params", "r.yaml", "--json")
    assert by_file.code == 2
    told = {p["where"].rpartition(": ")[2]: p["what"] for p in by_file.json["problems"]}
    assert set(told) == {"name", "tags[0]", "size", "parameters.language", "parameters.whoo"}
    assert told["tags[0]"].endswith(
        "letters, digits and _ . : = -, at most 100 of them, beginning with a letter or digit"
    )
    assert "not only spaces" in told["name"]
    for language in ("english", "dutch", "spanish"):
        assert language in told["parameters.language"], "choices are listed"
    by_flags = place.inside(
        "validate", "hello", "--name", " ", "--tag", "x y", "--language", "klingon", "--json"
    ).json["problems"]
    assert [p["where"] for p in by_flags] == ["--name", "--tag", "--language"]
    assert not any("^" in p["what"] for p in [*by_file.json["problems"], *by_flags])


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("^[A-Za-z0-9]+$", "letters and digits"),
        (
            "^[a-z][a-z0-9_]{0,62}$",
            "small letters, digits and _, at most 63 of them, beginning with one of: small letters",
        ),
        ("^[0-9]{4}$", "digits, 4 of them"),
        ("^[A-Z0-9 ]{2,8}$", "capital letters, digits and space, 2 to 8 of them"),
        ("^(a|b)$", ""),
        ("[a-z]+", ""),
        ("^[a-f]+$", ""),
    ],
)
def test_common_patterns_are_told_in_words(pattern: str, words: str) -> None:
    assert patterns.in_words(pattern) == words


def test_who_names_no_run_is_told_how(place: Place) -> None:
    done = place.inside("status")
    assert done.code == 2
    assert "an id, its first characters, or a name: esap-wf list shows them" in done.err
    assert done.err.count("Missing argument") == 1
