"""What a plan says on one screen: each line of it, where there is much to say and where there is nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from esap_wf.cli import planned
from esap_wf.cli.times import local
from esap_wf.models.plan import Plan


def plan(**more: Any) -> Plan:
    """A small plan of which most is unknown."""
    known: dict[str, Any] = {
        "created": "2026-11-26T11:00:00Z",
        "source": "s",
        "expires": "2026-11-27T11:00:00Z",
        "workflow": "toy",
        "version": "1.2",
        "title": "Toy",
        "code": "c",
        "entry": "Snakefile",
        "request": {"workflow": "toy"},
        "parameters": {},
        "inputs": {},
        "units": 1,
        "engine": {"name": "snakemake", "path": "/opt/snakemake", "version": "9.2.0", "found": "PATH"},
        "backend": "local",
        "software": {"route": "installed", "detail": "python3"},
        "command": ["snakemake"],
        "files": ["a"],
        "digest": {"identity": "d" * 64, "recorded": {}},
        "allocation": {"cores": 1, "memory_bytes": 10**9, "disk_bytes": 10**6, "wall_seconds": 5400},
        "estimate": {"core_hours": 0, "memory_bytes": 0, "disk_bytes": 0, "wall_seconds": 0},
        "offers": [{"backend": "local", "fits": True}],
    }
    return msgspec.convert({**known, **more}, Plan)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The lines of a plan's screen, key and text; what has no key goes on with the one above."""
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(planned, "WIDTH", 300)

    def make(
        defaults: dict[str, Any] | None = None, of: dict[str, str] | None = None, **more: Any
    ) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        key = ""
        for line in planned.plan_screen(plan(**more), defaults or {}, of or {}).splitlines():
            key, text = line[:12].strip() or key, line[14:].strip()
            found.setdefault(key, []).append(text)
        return found

    return make


def earlier(run: str, level: str = "request", **more: Any) -> dict[str, Any]:
    return {
        "run": run,
        "level": level,
        "phase": "COMPLETED",
        "owner": "ada",
        "created": "2026-11-25T11:00:00Z",
        **more,
    }


def test_a_plan_of_which_nothing_is_known_says_so(shown: Any) -> None:
    assert shown() == {
        "what": ["toy 1.2: Toy"],
        "where": ["local, with snakemake 9.2.0"],
        "software": ["as installed on this machine"],
        "how long": ["unknown: the workflow has no estimate, and none of its runs has been measured yet"],
        "how much": ["unknown"],
        "may use": ["1 core, 1 GB of memory, 1 h 30 min"],
        "found before": ["no earlier run like this"],
        "valid until": [local("2026-11-27T11:00:00Z")],
    }


def test_a_plan_says_where_it_is_from_and_what_differs_from_the_defaults(shown: Any) -> None:
    assert shown(reference="https://x.org/toy@1")["from"] == ["https://x.org/toy@1"]
    parameters = {"n": 3.0, "angle": 2.5, "many": 1e15, "new": "x"}
    defaults = {"n": 3.0, "angle": 1.0, "many": 2}
    told = shown(defaults, {"angle": "deg"}, parameters=parameters)["parameters"]
    assert told == [
        "angle = 2.5 deg (default 1 deg), many = 1000000000000000.0 (default 2), new = x; 1 at the default"
    ]
    assert shown({}, parameters={"n": 4.0})["parameters"] == ["n = 4"]
    assert shown({"n": 4}, parameters={"n": 4})["parameters"] == ["1, all at their defaults"]


def test_a_plan_names_some_inputs_and_counts_the_rest(shown: Any) -> None:
    one, two = {"uri": "file:///a", "path": "/a"}, {"uri": "https://x.org/b"}
    few = shown(inputs={"t": [one, two, two], "u": [two], "none": []})
    assert (
        few["input t"] == ["/a and 2 more"]
        and few["input u"] == ["https://x.org/b"]
        and "input none" not in few
    )
    told = shown(inputs={name: [one] for name in "abc"})
    assert told["input c"] == ["/a"]
    told = shown(inputs={name: [one] for name in "abcde"})
    assert told["input c"] == ["/a", "and 2 more inputs"] and "input d" not in told


def test_a_plan_says_which_other_places_fit_and_why_others_do_not(shown: Any) -> None:
    offers = [
        {"backend": "local", "fits": True},
        {"backend": "hpc", "fits": True},
        {"backend": "cloud", "fits": True},
        {"backend": "tiny", "fits": False, "reasons": ["too little memory", "no GPU"]},
        {"backend": "far", "fits": False, "reasons": ["off"]},
    ]
    told = shown(offers=offers)["where"]
    assert told == [
        "local (also fits: hpc, cloud), with snakemake 9.2.0",
        "not tiny: too little memory; no GPU",
    ]


def test_a_plan_says_which_software_and_whether_it_is_built_first(shown: Any) -> None:
    assert shown(software={"route": "python", "detail": "x", "ready": False})["software"] == [
        "a Python environment, which is built first (once)"
    ]
    assert shown(software={"route": "container", "detail": "image by podman"})["software"] == [
        "image by podman"
    ]


def test_a_plan_says_how_long_and_how_much_and_how_that_is_known(shown: Any) -> None:
    known = {"core_hours": 1.25, "memory_bytes": 2 * 10**9, "disk_bytes": 3 * 10**6, "wall_seconds": 125.0}
    told = shown(estimate=known, units=4)
    assert told["how long"] == ["about 2 min 5 s (estimated by the workflow's own model), 4 units"]
    assert told["how much"] == ["about 1.2 core-hours, 2 GB of memory, 3 MB of disk space"]
    told = shown(
        estimate={**known, "core_hours": 0.001, "wall_seconds": 0.5, "measured_runs": 2, "disk_bytes": 0}
    )
    assert told["how long"] == ["less than 1 s (from 2 earlier runs), 1 unit"]
    assert told["how much"] == ["less than 0.01 core-hours, 2 GB of memory, unknown disk space"]
    assert shown(estimate={**known, "wall_seconds": 1.0})["how long"][0].startswith("about 1 s ")
    for key, said in (("memory_bytes", "unknown memory"), ("core_hours", "unknown core-hours")):
        assert said in shown(estimate={**known, key: 0})["how much"][0]
    only_disk = {"core_hours": 0, "memory_bytes": 0, "disk_bytes": 5 * 10**6, "wall_seconds": 0}
    assert shown(estimate=only_disk)["how much"] == ["unknown core-hours, unknown memory, 5 MB of disk space"]


def test_a_plan_says_what_it_may_use_and_where_that_comes_from(shown: Any) -> None:
    origin = {"cores": "size large", "memory": "--memory", "wall": "the backend"}
    use = {
        "cores": 4,
        "memory_bytes": 8 * 10**9,
        "disk_bytes": 1,
        "wall_seconds": 60,
        "gpus": 2,
        "origin": origin,
    }
    assert shown(allocation=use)["may use"] == [
        "4 cores (size large), 8 GB of memory (--memory), 1 min (the backend), 2 GPUs"
    ]


def test_a_plan_names_some_earlier_runs_and_warnings_and_counts_the_rest(shown: Any) -> None:
    runs = [
        earlier("aaaa"),
        earlier("bbbb", "science", differs=["seed", "code"]),
        earlier("cccc"),
        earlier("dddd"),
        earlier("eeee"),
    ]
    told = shown(duplicates=runs)["found before"]
    when = local("2026-11-25T11:00:00Z")
    assert told == [
        f"aaaa COMPLETED by ada, {when}: the same request",
        f"bbbb COMPLETED by ada, {when}: the same scientific identity; differs in seed; code",
        f"cccc COMPLETED by ada, {when}: the same request",
        "and 2 more",
    ]
    assert len(shown(duplicates=runs[:3], warnings=["w"])["found before"]) == 3
    told = shown(warnings=["one", "two", "three", "four"])["warning"]
    assert told == ["one", "two", "three", "and 1 more warning: --verbose"]
    assert shown(warnings=["one", "two", "three"])["warning"] == ["one", "two", "three"]


def test_a_text_that_is_long_is_folded_and_at_last_cut(shown: Any) -> None:
    told = shown(title="word " * 400)["what"]
    assert len(told) == planned.LINES and told[-1].endswith(" …")
    told = shown(inputs={"n" * 40: [{"uri": "u"}]})
    assert any(key.startswith("input nnnnn") for key in told)
    screen = planned.plan_screen(plan(inputs={"n" * 40: [{"uri": "u"}]}, title="a\x1b[31mb"), {}, {})
    assert "input " + "n" * 17 + "…  u" in screen and "\x1b" not in screen


def test_a_narrow_terminal_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    lines = planned.plan_screen(plan(title="word " * 30), {}, {}).splitlines()
    assert max(map(len, lines)) <= 60


def test_everything_of_a_plan_is_told_when_asked() -> None:
    whole = plan(
        reference="https://x.org/toy@1",
        parameters={"n": 1},
        inputs={"t": [{"uri": f"u{i}"} for i in range(5)], "none": []},
        selected={"row": 7},
        estimate={
            "core_hours": 1.25,
            "memory_bytes": 2 * 10**9,
            "disk_bytes": 3 * 10**6,
            "wall_seconds": 60,
            "measured_runs": 2,
        },
        software={"route": "python", "detail": "pins", "refused": ["container: none"]},
        warnings=["careful"],
        duplicates=[earlier("aaaa")],
        offers=[
            {"backend": "local", "fits": True},
            {"backend": "hpc", "fits": True},
            {"backend": "tiny", "fits": False, "reasons": ["small", "slow"]},
        ],
        digest={"identity": "d" * 64, "recorded": {}, "science": "e" * 64, "science_values": {"n": 1}},
        files=[f"f{i}" for i in range(15)],
    )
    told = [" ".join(line.split()) for line in planned.plan_text(whole).splitlines()]
    for line in (
        "workflow toy 1.2: Toy",
        "source https://x.org/toy@1",
        "parameters n = 1",
        "input t u0, u1, u2 and 2 more",
        "selected row = 7",
        "units 1",
        "software python: pins",
        "not container: none",
        "backend local fits (chosen)",
        "backend hpc fits",
        "backend tiny does not fit: small; slow",
        f"digest {'d' * 64}",
        "code c",
        f"science {'e' * 64}: n = 1",
        "command snakemake",
        "warning careful",
        "valid until 2026-11-27T11:00:00Z",
    ):
        assert line in told, (line, told)
    assert not any(line.startswith("input none") for line in told)
    assert "estimate 1.25 core-hours, 1 min, 2 GB memory, 3 MB disk (corrected by 2 earlier runs)" in told
    assert "asks for 1 core, 1 GB memory, 1 h 30 min" in told
    exact = planned.plan_text(
        plan(
            inputs={"t": [{"uri": f"u{i}"} for i in range(3)]}, files=[f"f{i}" for i in range(planned.SHOWN)]
        )
    )
    assert "more" not in exact
    assert any(line.startswith("files f0, ") and line.endswith("f11 and 3 more") for line in told)
    assert any(line.startswith("earlier run aaaa COMPLETED") for line in told)
    bare = planned.plan_text(plan())
    assert (
        "unknown core-hours" in bare
        and "earlier runs" not in bare
        and "source" not in bare
        and "science" not in bare
        and "selected" not in bare
    )


def test_a_saved_plan_is_started_as_such() -> None:
    assert planned.start_line(["irf"], saved="/a b.json") == "esap-wf run --plan '/a b.json'"
    assert planned.start_line(["irf"], store="s", saved="p") == "esap-wf --store s run --plan p"
    assert planned.start_line(["irf", "-v", "--output", "p", "--json", "x"]) == "esap-wf run irf x"


def test_a_plan_for_a_place_elsewhere_says_its_pieces_and_what_each_may_use(shown: Any) -> None:
    there = {"name": "snakemake", "path": "/s", "version": "9.2.0", "found": "far", "place": "far"}
    lines = shown(
        engine=there,
        backend="far",
        offers=[{"backend": "far", "fits": True}],
        slicing={"slices": 3, "why": "as you asked"},
        software={"route": "installed", "detail": "python3 on the PATH of far"},
        allocation={
            "cores": 2,
            "memory_bytes": 10**9,
            "disk_bytes": 0,
            "wall_seconds": 60,
            "gpus": 1,
            "nodes": 2,
        },
    )
    assert lines["where"] == ["far, with snakemake 9.2.0"]
    assert lines["pieces"] == ["3 slices, and one that joins them: as you asked"]
    assert lines["software"] == ["python3 on the PATH of far"]
    assert lines["each may use"] == ["2 cores, 1 GB of memory, 1 min, 1 GPU, 2 nodes"]
    assert shown(engine=there, slicing={"why": "it can't be cut"})["pieces"] == ["one: it can't be cut"]
    assert "pieces" not in shown()
