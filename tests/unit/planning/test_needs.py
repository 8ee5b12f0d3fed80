"""What somebody needs of a place, in short words."""

from __future__ import annotations

import pytest

from esap_wf.errors import UsageError
from esap_wf.planning import needs


def test_amounts_are_read_with_their_units() -> None:
    found = needs.parse(["gpu=1,memory=64GB", "cores=16, nodes=2,wall=2h,disk=1 TB"])
    assert (found.gpus, found.memory_bytes, found.cores) == (1, 64 * 10**9, 16)
    assert (found.nodes, found.wall_seconds, found.disk_bytes) == (2, 7200, 10**12)


def test_what_is_not_said_is_the_least() -> None:
    found = needs.parse(["gpus=0"])
    assert (found.cores, found.memory_bytes, found.disk_bytes, found.wall_seconds, found.nodes) == (
        1,
        0,
        0,
        0,
        1,
    )


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        needs.parse(["memry=64GB,wall=soon,cores=0,nodes=2.5,disk=0,gpu", "gpu=1,gpus=2,", "xyz=2"])
    problems = {str(p) for p in caught.value.problems}
    assert problems == {
        "--needs: unknown word 'memry' (did you mean memory?)",
        '--needs wall: \'soon\' is not a time (write "15 min", "2 h" or seconds)',
        "--needs cores: '0' is not a whole number from 1 to 1000000",
        "--needs nodes: '2.5' is not a whole number from 1 to 1000000",
        "--needs disk: '0' is nothing",
        "--needs: 'gpu' is not of the form WORD=AMOUNT (as in gpu=1,memory=64GB,cores=16)",
        "--needs: gpu is given twice (give it once)",
        "--needs: '' is not of the form WORD=AMOUNT (as in gpu=1,memory=64GB,cores=16)",
        "--needs: unknown word 'xyz' (known: cores, memory, disk, wall, gpu, nodes)",
    }


@pytest.mark.parametrize(
    "text", ["cores=99999999999999999999", "cores=٣", "cores=-1", "memory=1e30 GB", "wall=9e17d"]
)
def test_amounts_that_nothing_has_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        needs.parse([text])
