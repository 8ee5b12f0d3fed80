"""What of a run's inputs has to be brought: how much, what is here already, what lies on tape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from esap_wf import files
from esap_wf.config import Config
from esap_wf.errors import Problem, RefusedError
from esap_wf.formats.quantities import human_bytes
from esap_wf.models.data import Replica
from esap_wf.models.place import Profile
from esap_wf.models.plan import Volume
from esap_wf.models.request import LAKE, RUN, DataRef


def of(config: Config, given: Iterable[DataRef]) -> Volume:
    """
    What is to be brought of all that a run is given.

    Raises
    ------
    RefusedError
        The disk has no room for it.
    LakeOutageError
        A lake can't be asked.
    """
    refs = {ref.uri: ref for ref in given if ref.is_brought}
    if not refs:
        return Volume()
    from esap_wf.transfers import learned, references

    cache, store = references.cache_of(config), config.store
    far = [ref for uri, ref in refs.items() if not uri.startswith(RUN)]
    shelf = learned.Shelf(store)
    known = [references.known(config, ref, shelf) for ref in far]
    missing = [r for r, sha256 in zip(far, known, strict=True) if not (sha256 and cache.has(sha256))]
    cold, seconds = _cold(config, missing)
    free, much = files.free(store), sum(ref.bytes or 0 for ref in missing)
    if much > free:
        what = f"{human_bytes(much)} of inputs are to be brought, but {human_bytes(free)} are free"
        hint = "free some space (esap-wf cache gc, esap-wf rm), or use another store (--store)"
        raise RefusedError("the inputs have no room", [Problem(str(store), what, hint)])
    return Volume(
        files=len(refs),
        bytes=sum(ref.bytes or 0 for ref in refs.values()),
        here=len(refs) - len(missing),
        missing_bytes=much,
        unknown=sum(ref.bytes is None for ref in missing),
        cold=cold,
        recall_seconds=seconds,
    )


def moves(config: Config, given: Iterable[DataRef], profiles: Mapping[str, Profile]) -> dict[str, int]:
    """
    Bytes that would have to be brought to each place, because no storage near it (`Profile.storage`) has
    them. Empty if no place has any near it: then nothing speaks for one of them.

    Raises
    ------
    LakeOutageError
        A lake can't be asked.
    """
    near = {
        name: {one.name for one in profile.storage if one.role == "data"}
        for name, profile in profiles.items()
    }
    refs = {r.uri: r for r in given if r.is_brought and r.uri.startswith(LAKE)}
    if not refs or not any(near.values()):
        return {}
    there = {uri: {copy.rse for copy in copies} for uri, copies in _copies(config, refs.values())}
    return {
        name: sum(ref.bytes or 0 for uri, ref in refs.items() if not there.get(uri, set()) & rses)
        for name, rses in near.items()
    }


def _cold(config: Config, missing: Iterable[DataRef]) -> tuple[int, float]:
    """How many files are to be recalled, and for how long."""
    cold, longest = 0, 0.0
    for _, copies in _copies(config, missing):
        if copies and not any(copy.ready for copy in copies):
            cold += 1
            longest = max(longest, *(copy.seconds or 0.0 for copy in copies))
    return cold, longest


def _copies(config: Config, refs: Iterable[DataRef]) -> Iterator[tuple[str, list[Replica]]]:
    """Where copies of files in lakes are, by address."""
    from esap_wf.transfers import references

    for name, dids in references.by_lake(ref.uri for ref in refs).items():
        yield from references.copies(config, name, dids)
