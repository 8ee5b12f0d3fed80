"""Environments are built for real, once, also by two builders at the same time and after one that was killed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from helpers.command_line import COMMAND, Place
from helpers.workflows import SNAKEFILE, write_workflow

from esap_wf.software import environments

TOLD = SNAKEFILE.replace(
    '"echo made > {output} 2> {log}"', repr("python3 -c 'import sys; print(sys.prefix)' > {output} 2> {log}")
)


def test_builders_of_the_same_environment_end_with_one_that_is_whole(place: Place) -> None:
    routes = {"software": [{"python": "requirements.txt"}]}
    folder = write_workflow(
        place.root / "toy", manifest=routes, files={"Snakefile": TOLD, "requirements.txt": "# nothing\n"}
    )
    half = environments.location(folder / "requirements.txt", place.root / "cache")
    (half / "bin").mkdir(parents=True)  # what a builder that was killed has made so far
    assert "will be built" in place.inside("software", "check", folder).out
    env = {**os.environ, **place.environment}
    build, run = (
        subprocess.Popen(
            [COMMAND, *words, folder, "--json"],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in (["software", "build"], ["run"])
    )
    ends = [(p.communicate(timeout=300)[0], p.returncode) for p in (build, run)]
    assert [code for _, code in ends] == [0, 0], ends
    (environment,) = (p for p in (place.root / "cache" / "environments").iterdir() if p.is_dir())
    assert environment == half and environments.is_ready(environment)
    assert str(environment) in ends[0][0]
    (result,) = place.store.glob("runs/*/*/outputs/result.txt")
    assert Path(result.read_text().strip()) == environment
    assert place.inside("software", "check", folder, "--json").json["software"]["bin_dirs"] == [
        str(environment / "bin")
    ]
