"""Environments are built for real, once, also by two builders at the same time."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from adapter import COMMAND, Place, write_workflow


def test_two_builders_of_the_same_environment_end_with_one(place: Place) -> None:
    folder = write_workflow(
        place.root / "toy", manifest={"software": [{"python": "requirements.txt"}]}, **{"requirements.txt": "# nothing\n"}
    )
    assert "will be built" in place("software", "check", folder).out
    env = {**os.environ, **place.environment}
    both = [
        subprocess.Popen(
            [COMMAND, "software", "build", folder, "--json"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ends = [(p.communicate(timeout=300)[0], p.returncode) for p in both]
    assert [code for _, code in ends] == [0, 0]
    assert ends[0][0] == ends[1][0], "both name the same place"
    (environment,) = (p for p in (place.root / "cache" / "environments").iterdir() if p.is_dir())
    assert Path(environment, "bin/python").exists()
    assert place("software", "check", folder, "--json").json["software"]["bin_dirs"] == [str(environment / "bin")]
