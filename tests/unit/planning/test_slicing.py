"""Into how many slices a run is cut: never more than it has units, never more cores a slice than it gets."""

from __future__ import annotations

import pytest
from helpers.shed import Collapsed, Shed
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.backends import Capacity, Profile
from esap_wf.backends.capacities import reasons_against
from esap_wf.backends.places import Place
from esap_wf.models.manifest import Implementation, Stage
from esap_wf.models.plan import Allocation
from esap_wf.models.request import ResourceRequest
from esap_wf.planning.slicing import Cut, share

FAR = Place(Profile(name="far", kind="shed"), Shed())
HERE = Place(Profile(name="here", kind="collapsed"), Collapsed())


def cut(stages: bool, units: int, cores: int | None, slices: int | None) -> Cut:
    stage = Stage() if stages else None
    one = Implementation(engine="snakemake", file="Snakefile", map=stage, join=stage)
    return Cut(one, "Snakemake", units, ResourceRequest(cores=cores, slices=slices))


_FEW = st.integers(1, 40)


@given(
    stages=st.booleans(),
    units=_FEW,
    cores=st.none() | _FEW,
    slices=st.none() | _FEW,
    there=_FEW,
    elsewhere=st.booleans(),
)
def test_what_is_not_refused_fits_and_loses_nothing(
    stages: bool, units: int, cores: int | None, slices: int | None, there: int, elsewhere: bool
) -> None:
    wanted = Allocation(cores=cores or 1, memory_bytes=1, disk_bytes=0, wall_seconds=1)
    capacity = Capacity(cores=there, memory_bytes=10, disk_bytes=10)
    place = FAR if elsewhere else HERE
    each, slicing, reasons = share(cut(stages, units, cores, slices), place, capacity, wanted)
    assert slicing.why
    if reasons or reasons_against(capacity, each):
        return
    assert each.cores <= there
    assert slicing.slices * each.cores >= (cores or 1)
    assert slicing.slices <= units
    assert slicing.slices == (slices or slicing.slices)
    if slicing.slices > 1:
        assert stages and elsewhere


@pytest.mark.parametrize(("cores", "there", "slices"), [(8, 2, 4), (9, 2, 5), (2, 2, 1), (3, 2, 2)])
def test_as_many_slices_as_the_cores_need(cores: int, there: int, slices: int) -> None:
    wanted = Allocation(cores=cores, memory_bytes=1, disk_bytes=0, wall_seconds=1)
    capacity = Capacity(cores=there, memory_bytes=10, disk_bytes=10)
    each, slicing, reasons = share(cut(True, 100, cores, None), FAR, capacity, wanted)
    assert (slicing.slices, reasons) == (slices, [])
    assert each.cores <= there
