"""A Snakefile is executed by Snakemake's own Python: what that lacks is told with the plan, not by a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.command_line import Place
from helpers.workflows import write_workflow

from esap_wf.engines.snakemake.engine import Snakemake
from esap_wf.models.plan import EngineChoice

RULES = "rule all:\n    input: []\n"


@pytest.fixture
def snakemake(tmp_path: Path) -> EngineChoice:
    """An environment's folders, without a Python: it is never started."""
    site = tmp_path / "env" / "lib" / "python3.12" / "site-packages"
    for name in ("snakemake", "numpy", "linked_to/yaml"):
        (site / name).mkdir(parents=True)
    (site / "six.py").touch()
    (site / "_fast.cpython-312-x86_64-linux-gnu.so").touch()
    (site / "more.pth").write_text("linked_to\nimport os; os.getpid()\n")
    (site / "__editable___mine_finder.py").write_text("MAPPING = {'mine': '/src/mine'}\n")
    (tmp_path / "env" / "pyvenv.cfg").write_text("include-system-site-packages = false\n")
    (tmp_path / "env" / "bin").mkdir()
    (tmp_path / "env" / "bin" / "snakemake").touch()
    return EngineChoice(
        name="snakemake", path=str(tmp_path / "env" / "bin" / "snakemake"), version="9.9", found="configured"
    )


def reported(choice: EngineChoice, folder: Path, text: str, **more: str) -> list[str]:
    for name, content in {"Snakefile": text, **more}.items():
        file = folder / "pipeline" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content + (RULES if name == "Snakefile" else ""))
    return [str(p) for p in Snakemake().objections(choice, folder / "pipeline" / "Snakefile", None)]


def test_what_is_missing_is_reported_with_line_and_remedy(tmp_path: Path, snakemake: EngineChoice) -> None:
    found = reported(
        snakemake,
        tmp_path,
        'import os, sys\nimport pandas as pd\ninclude: "a.smk"\n',
        **{"a.smk": "from xarray.core import x\n"},
    )
    python = tmp_path / "env" / "bin" / "python"
    other = "or another Snakemake by [engines.snakemake] path"
    assert found == [
        f"{tmp_path}/pipeline/{place}: imports {name}, which the Python of Snakemake at {snakemake.path} does not have "
        f"({python} -m pip install {name}, {other})"
        for place, name in (("Snakefile:2", "pandas"), ("a.smk:1", "xarray"))
    ]


@pytest.mark.parametrize(
    "text",
    [
        "import json, numpy.linalg, six, _fast, yaml, mine\nfrom snakemake.utils import validate\n",
        "from numpy import (\n    pi,\n    e,\n)\n",
        "try:\n    import pandas\nexcept ImportError:\n    pass\n",
        "if False:\n    import pandas\n",
        "if False: import pandas\n",
        "def f():\n    import pandas\n",
        'if config.get("x"):\n    include: "a.smk"\n',
        "import sys\nsys.path.insert(0, '/somewhere')\nimport pandas\n",
        "import common\nfrom helpers import f\n",
        "from . import pandas\n",
        "rule a:\n    run:\n        import pandas\n",
    ],
)
def test_what_is_there_or_may_be_is_no_objection(tmp_path: Path, snakemake: EngineChoice, text: str) -> None:
    assert (
        reported(
            snakemake,
            tmp_path,
            text,
            **{"a.smk": "import pandas\n", "common.py": "", "lib/helpers/__init__.py": ""},
        )
        == []
    )


def test_folders_that_are_not_known_are_not_judged(tmp_path: Path, snakemake: EngineChoice) -> None:
    assert reported(snakemake, tmp_path, "import pandas\n")
    (tmp_path / "env" / "pyvenv.cfg").write_text("include-system-site-packages = true\n")
    assert reported(snakemake, tmp_path, "import pandas\n") == []
    (tmp_path / "env" / "pyvenv.cfg").unlink()
    assert reported(snakemake, tmp_path, "import pandas\n") == []


@pytest.mark.integration
def test_nothing_runs_that_can_not(place: Place) -> None:
    workflow = write_workflow(
        place.root / "toy", files={"Snakefile": f"import no_such_module_anywhere\n{RULES}"}
    )
    done = place.inside("run", workflow)
    assert done.code == 3, done.err
    assert "Snakefile:1: imports no_such_module_anywhere" in done.err
    assert place.runs() == []
