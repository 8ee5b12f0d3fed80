"""SIGKILL of anybody at any moment: the run is not lost, nothing finished is repeated, the results are those of an undisturbed run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .conftest import end
from .kill_plan import Outcome, Victim
from .place import Place

#: Runs that are killed at the same time.
AT_ONCE = 4


def series(folder: Path, seeds: range, reference: dict[str, str]) -> None:
    places = {seed: Place(folder / f"seed{seed}") for seed in seeds}

    def one(seed: int) -> Outcome:
        places[seed].folder.mkdir()
        return Victim(places[seed], seed).go(reference)

    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(one, seeds))
    finally:
        for place in places.values():
            end(place)
    print(*outcomes, sep="\n")
    assert [str(o) for o in outcomes if o.wrong] == []


@pytest.mark.faults
@pytest.mark.parametrize("first", [0, 4])
def test_a_run_survives_kills_at_random_moments(tmp_path: Path, reference: dict[str, str], first: int) -> None:
    series(tmp_path, range(first, first + AT_ONCE), reference)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(100, 212, 8))
def test_a_run_survives_a_long_series_of_kills(tmp_path: Path, reference: dict[str, str], first: int) -> None:
    series(tmp_path, range(first, first + 8), reference)
