"""What a notebook has at hand is taken as a parameter, and judged like a text of the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.time import Time

from esap_wf.api import values
from esap_wf.catalogue.workflow import Workflow
from esap_wf.errors import UsageError
from esap_wf.request import parameters

DEG = {"type": "number", "title": "Angle", "unit": "deg", "minimum": 0, "maximum": 90}
COUNT = {"type": "integer", "title": "Count"}
ENERGIES = {"type": "array", "title": "Energies", "items": {"type": "number"}, "unit": "TeV"}
RATIO = {"type": "number", "title": "Ratio"}
TEXT = {"type": "string", "title": "Text"}
PROPERTIES: dict[str, dict[str, Any]] = {
    "angle": DEG,
    "count": COUNT,
    "energies": ENERGIES,
    "ratio": RATIO,
    "text": TEXT,
}

Toy = Callable[..., Workflow]


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("count", np.int64(3), 3),
        ("count", np.array(3), 3),
        ("count", np.float64(3), 3),
        ("ratio", np.float32(0.5), 0.5),
        ("ratio", np.longdouble(0.25), 0.25),
        ("ratio", np.bool_(True), None),
        ("energies", np.array([1, 2]), [1.0, 2.0]),
        ("energies", np.ma.masked_array([1.0, 2.0], [False, True]), None),
        ("energies", [np.float64(1), 2], [1.0, 2.0]),
        ("energies", np.array([1, 2.5], dtype=object), [1.0, 2.5]),
        ("text", np.str_("a"), "a"),
        ("text", np.datetime64("2026-11-26T10:00:00", "ns"), "2026-11-26T10:00:00.000000000"),
        ("text", Time("2026-11-26T10:00:00", scale="utc"), "2026-11-26T10:00:00.000Z"),
        ("text", date(2026, 11, 26), "2026-11-26"),
        ("text", datetime(2026, 11, 26, 10, tzinfo=UTC), "2026-11-26T10:00:00Z"),
        ("angle", 20 * u.deg, 20.0),
        ("angle", u.Quantity(20, "deg", dtype=int), 20.0),
        ("angle", 0.35 * u.rad, 20.0535228295788),
        ("angle", 1200 * u.arcmin, 20.0),
        ("angle", 2 * u.Unit("10 deg"), 20.0),
        ("angle", 2 * u.def_unit("tens_of_degrees", 10 * u.deg), 20.0),
        ("angle", np.array(20) * u.deg, 20.0),
        ("energies", [1, 2] * u.GeV, [0.001, 0.002]),
        ("energies", [1 * u.TeV, 2000 * u.GeV], [1.0, 2.0]),
        ("ratio", 20 * u.percent, 0.2),
        ("ratio", u.Quantity(0.5), 0.5),
    ],
)
def test_values_of_numpy_and_astropy_are_taken(toy: Toy, name: str, given: Any, kept: Any) -> None:
    plain = values.of_parameters({name: given}, PROPERTIES)
    resolved, problems = parameters.resolve(toy(PROPERTIES), plain, {})
    if kept is None:
        assert problems
    else:
        assert not problems
        assert resolved[name] == pytest.approx(kept, rel=1e-12) if name == "angle" else resolved[name] == kept
        assert type(resolved[name]) is type(kept)


def test_a_wrong_unit_is_the_problem_that_the_command_line_has(toy: Toy) -> None:
    given = {"angle": 20 * u.m, "energies": [1, 2] * u.s, "ratio": 3 * u.km, "count": np.float64(2.5)}
    workflow = toy(PROPERTIES)
    _, of_python = parameters.resolve(workflow, values.of_parameters(given, PROPERTIES), {})
    flags = {"angle": "20.0 m", "energies": "1.0 s, 2.0 s", "ratio": "3.0 km", "count": "2.5"}
    _, of_flags = parameters.resolve(workflow, {}, flags)
    assert len(of_python) == 4
    assert [p.what for p in of_python] == [p.what for p in of_flags]
    assert "'m' is a length (m), this is an angle (deg)" in of_python[0].what


def test_a_bare_number_with_units_is_not_taken_for_one_in_the_unit_of_the_parameter(toy: Toy) -> None:
    for given in (u.Quantity(20), 20 * u.percent):
        _, problems = parameters.resolve(
            toy(PROPERTIES), values.of_parameters({"angle": given}, PROPERTIES), {}
        )
        assert [p.where for p in problems] == ["parameter angle"]


def test_a_path_that_is_there_is_meant_as_it_is_seen_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here.csv").touch()
    monkeypatch.chdir(tmp_path)
    plain = values.of_parameters(
        {"a": Path("here.csv"), "b": Path("made/there.csv"), "c": [Path("here.csv")]}, {}
    )
    assert plain == {
        "a": str(tmp_path / "here.csv"),
        "b": "made/there.csv",
        "c": [str(tmp_path / "here.csv")],
    }


@pytest.mark.parametrize(
    "given", [1j, np.complex128(1j), object(), b"x", np.bytes_(b"x"), float("nan"), np.nan, lambda: 1, {1: 2}]
)
def test_what_is_no_data_is_refused_by_its_name(given: Any) -> None:
    with pytest.raises(UsageError, match="thing"):
        values.of_parameters({"thing": given}, {})


def test_neither_numpy_nor_astropy_is_loaded_for_plain_values() -> None:
    code = (
        "import sys, esap_wf; assert 'msgspec' not in sys.modules, 'the import is not free'\n"
        "from esap_wf.api import values; values.of_parameters({'a': [1, 'x', {'b': 2.0}]}, {})\n"
        "print([m for m in ('numpy', 'astropy', 'IPython', 'click', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
