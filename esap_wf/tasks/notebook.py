"""A single notebook: executed by papermill, turned into HTML by nbconvert; the cell tagged ``parameters`` is
its interface.

The notebook's own packages: ``requirements.txt`` (or ``binder/requirements.txt``) beside it, ipykernel
included; else those of the engine's environment.
"""

from __future__ import annotations

import ast
import glob
import json
import posixpath
import re
from pathlib import Path
from typing import Any

from esap_wf.code import roots
from esap_wf.engines import Interface, Job, settings
from esap_wf.errors import Problem, UsageError
from esap_wf.formats import reading
from esap_wf.models.manifest import Input, Output, Software
from esap_wf.models.plan import EngineChoice
from esap_wf.tasks import HERE, NOTEBOOK, Step, Steps, writing

#: The working directory of a notebook: that of its copy, as in Jupyter.
PROJECT = "project"
EXECUTED, PAGE = "outputs/notebook.ipynb", "outputs/notebook.html"
PARAMETERS = "parameters.json"
KERNEL = "esap-wf"
_MAX_BYTES = 64 * 1024 * 1024
_FILE = re.compile(r"[^\s{}*?$:\\]+\.[A-Za-z][A-Za-z0-9]{0,7}(\.(gz|bz2|xz|zst))?")
_GOES = re.compile(r"(^|_)(out|output|outputs|outdir|results?|logs?)(_|$)", re.I)


class Notebook:
    """See `esap_wf.tasks.Task`."""

    name = NOTEBOOK
    title = "a notebook"
    engine = "notebook"

    def knows(self, file: str) -> bool:
        """``NAME.ipynb``."""
        return file.endswith(".ipynb")

    def interface(self, path: Path, item: str | None) -> Interface | None:
        """Names and types of the cell that is tagged ``parameters``."""
        if not (path.is_file() and self.knows(path.name)):
            return None
        document, path = read_notebook(path), path.absolute()
        root, notes = roots.root_of(path, path.parent)
        folder = path.parent.relative_to(root).as_posix()
        properties, inputs, origins, warnings = _interface(document, path)
        warnings += notes
        pins = next(
            (p for p in ("requirements.txt", "binder/requirements.txt") if (path.parent / p).is_file()), None
        )
        if pins and not re.search(
            r"(?im)^\s*ipykernel\b", reading.read_text(path.parent / pins, strict=False)
        ):
            warnings.append(f"{pins} names no ipykernel, which the notebook's kernel needs: add it, pinned")
        title = next(
            (h for c in document["cells"] if c["cell_type"] == "markdown" and (h := _heading(_source(c)))),
            path.stem,
        )
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "additionalProperties": False,
            "properties": properties,
            "required": [],
        }
        folder = "/".join([PROJECT, *map(glob.escape, path.parent.relative_to(root).parts)])
        outputs = (
            Output(
                name="notebook",
                path=EXECUTED,
                title="the executed notebook",
                media_type="application/x-ipynb+json",
            ),
            Output(name="page", path=PAGE, title="the executed notebook as a page", media_type="text/html"),
            Output(
                name="files",
                path=f"{folder}/outputs/**/*",
                title="what it wrote below outputs/",
                required=False,
                guess=True,
            ),
            Output(
                name="results",
                path=f"{folder}/results/**/*",
                title="what it wrote below results/",
                required=False,
                guess=True,
            ),
        )
        beside = [i.engine_default for i in inputs.values() if (path.parent / i.engine_default).exists()]
        named = [
            n
            for b in beside
            if not (n := posixpath.normpath(posixpath.join(folder, b))).startswith(("..", "/"))
        ]
        return Interface(
            root=root,
            file=path.relative_to(root).as_posix(),
            workdir="" if folder == "." else folder,
            named=tuple(named),
            name=path.stem,
            schema=schema,
            inputs=inputs,
            outputs=outputs,
            title=title[:200],
            software=(Software(python=posixpath.normpath(f"{folder}/{pins}")),) if pins else (),
            origins=origins,
            warnings=tuple(warnings),
        )

    def steps(self, choice: EngineChoice, job: Job) -> Steps:
        """Execute, and make the page."""
        file = Path(job.entry).relative_to(job.folder)
        values = settings.plain(settings.relocated(job, file.parent.as_posix()))
        papermill = Path(choice.path)
        folder = (Path(PROJECT) / file).parent
        # the kernel: the software's python, first on PATH, or the engine's own
        python = "python" if job.software.bin_dirs else str(papermill.with_name("python"))
        kernel = {
            "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": KERNEL,
            "language": "python",
        }
        # nothing of the user's own settings of Jupyter and IPython
        folders = {"JUPYTER_PATH": "jupyter", "JUPYTER_CONFIG_DIR": "jupyter", "IPYTHONDIR": "ipython"}
        clean = ["env", *(f"{name}={HERE}/engine/{folder}" for name, folder in folders.items())]
        execute = [
            *clean,
            str(papermill),
            f"{PROJECT}/{file}",
            EXECUTED,
            "--cwd",
            str(folder),
            "-k",
            KERNEL,
            "--no-progress-bar",
            "--log-output",
            *(["-f", PARAMETERS] if values else []),
        ]
        page = [
            *clean,
            str(papermill.with_name("jupyter-nbconvert")),
            "--to",
            "html",
            "--output-dir",
            "outputs",
            EXECUTED,
        ]
        files = {f"engine/jupyter/kernels/{KERNEL}/kernel.json": settings.as_json(kernel)}
        if values:
            files[PARAMETERS] = settings.as_json(values)
        return Steps([Step("execute", execute), Step("page", page)], files, PROJECT)


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook (format 4); UsageError if it is none."""
    try:
        data = reading.json_value(reading.read_text(path, limit=_MAX_BYTES))
        if not isinstance(data, dict) or data.get("nbformat") != 4 or not isinstance(data.get("cells"), list):
            raise ValueError("not a notebook of format 4")
        if not isinstance(data.get("metadata") or {}, dict) or not isinstance(
            (data.get("metadata") or {}).get("kernelspec") or {}, dict
        ):
            raise ValueError("its metadata are not valid")
        for number, cell in enumerate(data["cells"], 1):
            if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
                raise ValueError(f"cells: number {number} is not a cell")
            if not isinstance(cell.get("metadata") or {}, dict) or not isinstance(
                (cell.get("metadata") or {}).get("tags") or [], list
            ):
                raise ValueError(f"the metadata of cell {number} are not valid")
    except ValueError as error:
        raise UsageError("the notebook is broken", [Problem(str(path), str(error))]) from None
    return data


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _heading(text: str) -> str:
    match = re.search(r"^#+\s+(.+)$", text, re.MULTILINE)
    return match[1].strip() if match else ""


def _interface(
    document: dict[str, Any], path: Path
) -> tuple[dict[str, dict[str, Any]], dict[str, Input], dict[str, str], list[str]]:
    properties: dict[str, dict[str, Any]] = {}
    inputs: dict[str, Input] = {}
    origins: dict[str, str] = {}
    spec = (document.get("metadata") or {}).get("kernelspec") or {}
    language = str(
        ((document.get("metadata") or {}).get("language_info") or {}).get("name")
        or spec.get("language")
        or "python"
    ).lower()
    if language != "python":
        raise UsageError(
            "the notebook can't be run",
            [Problem(str(path), f"its language is {language}", "only Python notebooks can be run")],
        )
    code = ((i, c) for i, c in enumerate(document["cells"], 1) if c["cell_type"] == "code")
    number, cell = next(
        ((i, c) for i, c in code if "parameters" in ((c.get("metadata") or {}).get("tags") or [])), (0, None)
    )
    if cell is None:
        return {}, {}, {}, ["no cell is tagged `parameters`: the notebook has no parameters"]
    text = _source(cell)
    where = f"{path.name}: cell {number}"
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(
            "the notebook is broken",
            [Problem(f"{path}: cell {number}", f"its parameters are not Python: {error}")],
        ) from None
    goes = writing.written(_source(c) for c in document["cells"] if c["cell_type"] == "code")
    lines, warnings = text.splitlines(), []
    for node in tree.body:
        target = (
            node.targets[0]
            if isinstance(node, ast.Assign)
            else node.target
            if isinstance(node, ast.AnnAssign)
            else None
        )
        if (
            not isinstance(target, ast.Name)
            or not isinstance(node, (ast.Assign, ast.AnnAssign))
            or node.value is None
        ):
            continue
        comment = lines[(node.end_lineno or node.lineno) - 1].partition("#")[2].strip()
        try:
            value = ast.literal_eval(node.value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            warnings.append(
                f"{where}, line {node.lineno}: the default of {target.id} is computed, so it is not shown"
            )
            properties[target.id] = {"title": comment or target.id}
            origins[f"parameters.{target.id}"] = f"{where}, line {node.lineno}"
            continue
        if (
            isinstance(value, str)
            and _FILE.fullmatch(value)
            and not _GOES.search(target.id)
            and target.id not in goes
        ):
            inputs[target.id] = Input(title=comment or target.id, required=False, engine_default=value)
            origins[f"inputs.{target.id}"] = f"{where}, line {node.lineno}"
        else:
            properties[target.id] = {"title": comment or target.id, **_typed(value)}
            origins[f"parameters.{target.id}"] = f"{where}, line {node.lineno}"
    return properties, inputs, origins, warnings


def _typed(value: Any) -> dict[str, Any]:
    """JSON type and default of a literal; a set or a complex number has none, and any text may be given."""
    if value is None:
        return {}
    for kind, name in (
        (bool, "boolean"),
        (int, ["integer", "number"]),
        (float, "number"),
        (str, "string"),
        ((list, tuple), "array"),
        (dict, "object"),
    ):
        if isinstance(value, kind):
            shown = list(value) if isinstance(value, tuple) else value
            try:
                json.dumps(shown, allow_nan=False)
            except (TypeError, ValueError):
                return {}
            return {"type": name, "engine_default": shown}
    return {}


def failing_cell(executed: Path) -> str:
    """What a failed notebook says: the error of the cell that raised it, as one line; empty if none did."""
    try:
        cells = read_notebook(executed)["cells"]
    except UsageError:
        return ""
    for number, cell in enumerate(cells, 1):
        for output in cell.get("outputs", []) if isinstance(cell.get("outputs"), list) else []:
            if isinstance(output, dict) and output.get("output_type") == "error":
                count = cell.get("execution_count")
                name = f"cell [{count}]" if count else f"cell {number}"
                message = " ".join(f"{output.get('ename')}: {output.get('evalue')}".split())
                return f"{name}: {''.join(c for c in message if c.isprintable())}"[:500]
    return ""
