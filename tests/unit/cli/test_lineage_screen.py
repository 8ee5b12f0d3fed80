"""``show RUN --lineage``, as people read it."""

from __future__ import annotations

from helpers.command_line import Place
from helpers.runs import make_run

FIRST, SECOND, THIRD = (f"{n:016x}" for n in (1, 2, 3))


def test_a_run_is_shown_between_what_it_was_made_from_and_its_users(place: Place) -> None:
    made = [{"uri": f"run:{FIRST}/events/{n}.fits", "checksum": "sha256:" + "ab" * 32} for n in range(3)]
    own = [{"uri": "file:///home/ada/own.fits"}]
    make_run(place, FIRST, workflow="simulate", ago=30, plan={"inputs": {}})
    make_run(place, SECOND, workflow="reduce", name="mine", ago=20, plan={"inputs": {"data": made + own}})
    again = {"left": [{"uri": f"run:{SECOND}/map"}], "right": [{"uri": f"run:{SECOND}/map"}]}
    make_run(place, THIRD, workflow="plot", owner="grace", ago=10, plan={"inputs": again})
    done = place.inside("show", "mine", "--lineage")
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        f"{SECOND}  reduce  COMPLETED",
        "from",
        f"  data  run:{FIRST}/events/0.fits  sha256:{'ab' * 6}…  and 2 more files of this run",
        f"    {FIRST}  simulate  COMPLETED",
        "  data  file:///home/ada/own.fits",
        "used by",
        f"  {THIRD}  plot  COMPLETED  by grace, as left, right",
    ]


def test_runs_without_a_lineage_say_so(place: Place) -> None:
    make_run(place, FIRST, plan={"inputs": {}})
    done = place.inside("show", FIRST[:-1], "--lineage")
    assert done.out.splitlines()[1:] == [
        "from",
        "  nothing: it has no inputs",
        "used by",
        "  no run of this store",
    ]


def test_many_users_are_counted_and_all_are_in_json(place: Place) -> None:
    make_run(place, FIRST)
    for n in range(20):
        make_run(place, f"{n + 16:016x}", plan={"inputs": {"a": [{"uri": f"run:{FIRST}/x"}]}})
    assert "  and 8 more: --json shows all" in place.inside("show", FIRST, "--lineage").out.splitlines()
    assert len(place.inside("show", FIRST, "--lineage", "--json").json["used_by"]) == 20


def test_a_workflow_has_no_lineage(place: Place) -> None:
    make_run(place, FIRST)
    done = place.inside("show", "hello", "--lineage")
    assert done.code == 2
    assert "there is no run 'hello'" in done.err
