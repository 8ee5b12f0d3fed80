"""`LakeSuite`: the questions that esap-wf asks of every data lake. Public through `esap_wf.testing`."""

from __future__ import annotations

import hashlib
import io
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from esap_wf.datalakes import Content, DeniedError, Did, Lake, LakeOutageError, NoEntryError, TakenError, Tier
from esap_wf.errors import EsapError


def _read(lake: Lake, did: Did, start: int = 0) -> bytes:
    target = io.BytesIO()
    told = sum(lake.fetch(did, target, start))
    assert told == len(target.getvalue()), "the parts that are told add up to what was written"
    return target.getvalue()


class LakeSuite:
    """
    A class of tests derives from this one and has the fixtures below. Names are made anew for each test,
    because no lake ever gives one out again.
    """

    #: Seconds that a recall may take.
    patience = 60.0

    # --- what a subclass has

    @pytest.fixture
    def lake(self) -> Lake:
        """A lake whose account owns `scope`."""
        raise NotImplementedError

    @pytest.fixture
    def scope(self) -> str:
        """A scope that everybody may read, and only the account of `lake` may write."""
        raise NotImplementedError

    @pytest.fixture
    def other(self) -> Lake:
        """The same lake, by an account that owns nothing in `scope`."""
        raise NotImplementedError

    @pytest.fixture
    def embargoed(self) -> str:
        """A scope that only the account of `lake` may read."""
        raise NotImplementedError

    @pytest.fixture
    def cold(self) -> str:
        """A storage element from which files have to be recalled."""
        raise NotImplementedError

    # --- what they are asked with

    @pytest.fixture
    def name(self) -> Callable[[str], str]:
        """Names that nobody has used."""
        once = os.urandom(5).hex()
        return lambda text: f"{text}-{once}"

    @pytest.fixture
    def content(self) -> bytes:
        """Of a file: bytes of all kinds, more than are read at once."""
        return bytes(range(256)) * 400 + os.urandom(1000)

    @pytest.fixture
    def file(self, tmp_path: Path, content: bytes) -> Path:
        """A file on this machine."""
        path = tmp_path / "a file to be stored"
        path.write_bytes(content)
        return path

    @pytest.fixture
    def stored(self, lake: Lake, scope: str, name: Callable[[str], str], file: Path) -> Did:
        """A file in the lake."""
        did = Did(scope, name("events.fits"))
        lake.store(file, did, metadata={"obs_id": 110380, "instrument": "CTA"})
        return did

    # --- names and what they stand for

    def test_what_is_stored_is_described_with_its_size_and_its_checksums(
        self, lake: Lake, stored: Did, content: bytes
    ) -> None:
        entry = lake.describe([stored])[stored]
        assert (entry.did, entry.content, entry.bytes) == (stored, Content.FILE, len(content))
        sums = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
            "adler32": f"{zlib.adler32(content):08x}",
        }
        assert entry.checksums
        assert entry.checksums.items() <= sums.items()
        assert entry.account == lake.account
        assert entry.metadata["obs_id"] == 110380

    def test_what_is_stored_is_found_by_its_name_a_pattern_and_its_metadata(
        self, lake: Lake, stored: Did
    ) -> None:
        pattern = f"{stored.name[:6]}*{stored.name[-6:]}"
        assert stored in list(lake.find(stored.scope, pattern))
        assert list(lake.find(stored.scope, stored.name)) == [stored]
        assert list(lake.find(stored.scope, stored.name, metadata={"obs_id": 110380})) == [stored]
        assert list(lake.find(stored.scope, stored.name, metadata={"obs_id": 1})) == []
        assert list(lake.find(stored.scope, stored.name, content=Content.DATASET)) == []

    def test_only_a_star_is_special_in_a_pattern(self, lake: Lake, stored: Did) -> None:
        for pattern in ("?" * len(stored.name), "[e]*", "e%", "_" * len(stored.name), f"{stored.name}'--"):
            assert list(lake.find(stored.scope, pattern)) == []

    def test_what_nobody_has_stored_is_missing_in_the_answer(self, lake: Lake, stored: Did) -> None:
        missing = Did(stored.scope, f"{stored.name}-not")
        nowhere = Did(f"{stored.scope[:40]}-no", "x")
        assert set(lake.describe([missing, stored, nowhere])) == {stored}
        assert set(lake.replicas([missing, stored, nowhere])) == {stored}
        with pytest.raises(NoEntryError) as error:
            list(lake.files(missing))
        assert str(missing) in str(error.value)
        with pytest.raises(NoEntryError):
            _read(lake, missing)

    @pytest.mark.parametrize(
        "bad", ["../x", "a/../b", "-rf", "a\nb", "$(id)", "x" * 300, "a//b", "", "a b", "é", "/a", "a/", "."]
    )
    def test_names_that_could_do_harm_are_not_stored(
        self, lake: Lake, scope: str, file: Path, bad: str
    ) -> None:
        with pytest.raises(EsapError):
            lake.store(file, Did(scope, bad))
        assert lake.describe([Did(scope, bad)]) == {}

    # --- a name stands for one thing, for ever

    def test_the_same_bytes_are_stored_once(self, lake: Lake, stored: Did, file: Path) -> None:
        before = lake.describe([stored])[stored]
        assert lake.store(file, stored).created == before.created

    def test_a_name_is_not_given_to_other_bytes(
        self, lake: Lake, stored: Did, file: Path, content: bytes
    ) -> None:
        file.write_bytes(content + b"!")
        with pytest.raises(TakenError, match="other"):
            lake.store(file, stored)
        assert _read(lake, stored) == content

    def test_a_name_is_not_given_out_again(self, lake: Lake, stored: Did, file: Path) -> None:
        assert lake.delete([stored]) == [stored]
        assert lake.describe([stored]) == {}
        assert list(lake.find(stored.scope, stored.name)) == []
        with pytest.raises(NoEntryError):
            _read(lake, stored)
        with pytest.raises(TakenError):
            lake.store(file, stored)
        assert lake.delete([stored]) == []

    def test_a_changed_original_changes_nothing_in_the_lake(
        self, lake: Lake, stored: Did, file: Path, content: bytes
    ) -> None:
        file.write_bytes(b"something else")
        assert _read(lake, stored) == content

    # --- reading

    def test_a_file_is_read_as_it_was_stored(self, lake: Lake, stored: Did, content: bytes) -> None:
        assert _read(lake, stored) == content
        assert _read(lake, stored, 70_000) == content[70_000:]
        assert _read(lake, stored, len(content)) == b""

    def test_a_file_has_a_copy_that_is_ready(self, lake: Lake, stored: Did) -> None:
        first = lake.replicas([stored])[stored][0]
        assert (first.ready, first.tier) == (True, Tier.HOT)
        assert first.rse
        assert ":" in first.url

    def test_an_empty_file_is_a_file(
        self, lake: Lake, scope: str, name: Callable[[str], str], file: Path
    ) -> None:
        file.write_bytes(b"")
        did = Did(scope, name("empty"))
        assert lake.store(file, did).bytes == 0
        assert _read(lake, did) == b""

    def test_what_lies_on_a_cold_element_is_read_after_a_recall(
        self, lake: Lake, scope: str, name: Callable[[str], str], file: Path, content: bytes, cold: str
    ) -> None:
        did = Did(scope, name("raw.dl0"))
        lake.store(file, did, rse=cold)
        copy = lake.replicas([did])[did][0]
        assert (copy.ready, copy.tier) == (False, Tier.COLD)
        with pytest.raises(LakeOutageError):
            _read(lake, did)
        assert lake.recall([did], 3600).waiting == [did]
        end = time.monotonic() + self.patience
        while not (asked := lake.recall([did], 3600)).ready:
            assert asked.waiting == [did]
            assert time.monotonic() < end
            time.sleep(0.1)
        assert _read(lake, did) == content
        assert {r.tier for r in lake.replicas([did])[did]} >= {Tier.HOT}

    def test_a_recall_of_what_is_there_or_is_not_says_so(self, lake: Lake, stored: Did) -> None:
        missing = Did(stored.scope, f"{stored.name}-not")
        asked = lake.recall([stored, missing], 60)
        assert asked.ready == [stored]
        assert list(asked.failed) == [str(missing)]

    # --- datasets and containers

    @pytest.fixture
    def many(self, lake: Lake, scope: str, name: Callable[[str], str], file: Path) -> list[Did]:
        """Three files."""
        dids = [Did(scope, name(f"part{i}")) for i in range(3)]
        for i, did in enumerate(dids):
            file.write_bytes(b"%d" % i)
            lake.store(file, did)
        return dids

    def test_a_dataset_in_a_container_has_the_files_of_all_levels_once(
        self, lake: Lake, scope: str, name: Callable[[str], str], many: list[Did]
    ) -> None:
        first, second, whole = (Did(scope, name(n)) for n in ("first", "second", "whole"))
        lake.register(first, Content.DATASET, many[:2], {"project_id": "CTA-1"})
        lake.register(second, Content.DATASET, many[1:])
        lake.register(whole, Content.CONTAINER, [first, second])
        assert [e.did for e in lake.files(whole)] == sorted(many)
        assert [e.did for e in lake.files(first)] == sorted(many[:2])
        assert [e.did for e in lake.files(many[0])] == many[:1]
        assert lake.describe([first])[first].metadata["project_id"] == "CTA-1"
        assert lake.describe([whole])[whole].content is Content.CONTAINER

    def test_parts_are_attached_later_and_again(
        self, lake: Lake, scope: str, name: Callable[[str], str], many: list[Did]
    ) -> None:
        did = Did(scope, name("growing"))
        lake.register(did, Content.DATASET)
        assert list(lake.files(did)) == []
        for parts in (many[:1], many, many):
            lake.register(did, Content.DATASET, parts)
        assert [e.did for e in lake.files(did)] == sorted(many)

    def test_all_parts_are_attached_or_none(
        self, lake: Lake, scope: str, name: Callable[[str], str], many: list[Did]
    ) -> None:
        did = Did(scope, name("broken"))
        lake.register(did, Content.DATASET, many[:1])
        with pytest.raises(NoEntryError):
            lake.register(did, Content.DATASET, [many[1], Did(scope, name("not there"[:3]))])
        assert [e.did for e in lake.files(did)] == many[:1]

    def test_a_name_is_one_kind_of_thing(
        self, lake: Lake, scope: str, name: Callable[[str], str], many: list[Did], file: Path
    ) -> None:
        did = Did(scope, name("kind"))
        lake.register(did, Content.DATASET, many)
        with pytest.raises(TakenError):
            lake.register(did, Content.CONTAINER)
        with pytest.raises(TakenError):
            lake.store(file, did)
        with pytest.raises(EsapError):
            lake.register(Did(scope, name("files")), Content.CONTAINER, many)

    # --- who may do what

    def test_everybody_reads_what_is_open(self, other: Lake, stored: Did, content: bytes) -> None:
        assert other.describe([stored])[stored].bytes == len(content)
        assert _read(other, stored) == content

    def test_what_is_embargoed_is_not_there_for_others(
        self, lake: Lake, other: Lake, embargoed: str, name: Callable[[str], str], file: Path
    ) -> None:
        did = Did(embargoed, name("secret"))
        lake.store(file, did)
        assert did in lake.describe([did])
        assert other.describe([did]) == {}
        assert list(other.find(embargoed)) == []
        with pytest.raises((NoEntryError, DeniedError)):
            _read(other, did)

    def test_who_does_not_own_a_scope_writes_nothing_there(
        self, other: Lake, stored: Did, scope: str, name: Callable[[str], str], file: Path
    ) -> None:
        foreign = Did(scope, name("foreign"))
        with pytest.raises(DeniedError):
            other.store(file, foreign)
        with pytest.raises(DeniedError):
            other.register(foreign, Content.DATASET)
        with pytest.raises(DeniedError):
            other.delete([stored])
        assert stored in other.describe([stored])

    def test_many_names_are_one_question(self, lake: Lake, stored: Did) -> None:
        names = [Did(stored.scope, f"{stored.name}-{i}") for i in range(999)]
        begin = time.monotonic()
        assert set(lake.describe([*names, stored])) == {stored}
        assert time.monotonic() - begin < self.patience
