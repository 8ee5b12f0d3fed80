"""
What a CWL document needs, by its files alone: steps and scatter, requirements an engine lacks, JavaScript,
circles of references.
"""

from __future__ import annotations

import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

from esap_wf.engines.cwl.documents import CLASSES, VERSIONS, Node, Reader, short
from esap_wf.engines.cwl.events import Steps
from esap_wf.errors import Problem, UsageError

#: Requirements of CWL → the first version that has them. Both engines rest on cwltool and know all of these.
REQUIREMENTS = {
    **dict.fromkeys(
        (
            "DockerRequirement",
            "EnvVarRequirement",
            "InitialWorkDirRequirement",
            "InlineJavascriptRequirement",
            "MultipleInputFeatureRequirement",
            "ResourceRequirement",
            "ScatterFeatureRequirement",
            "SchemaDefRequirement",
            "ShellCommandRequirement",
            "SoftwareRequirement",
            "StepInputExpressionRequirement",
            "SubworkflowFeatureRequirement",
        ),
        "v1.0",
    ),
    **dict.fromkeys(
        ("InplaceUpdateRequirement", "LoadListingRequirement", "NetworkAccess", "ToolTimeLimit", "WorkReuse"),
        "v1.1",
    ),
}
#: cwltool's own extensions, by prefix.
_EXTENSIONS = ("cwltool:", "http://commonwl.org/cwltool#")
#: cwltool refuses these itself, though it knows their names (as hints they are passed over).
_HINTS_ONLY = {"SoftwareRequirement"}
#: A reference to a parameter, which needs no JavaScript (CWL 1.2, section 3.4).
_REFERENCE = re.compile(
    r"\$\([\w.]+((\.\w+)|(\['([^'\\]|\\['\\])+'\])|(\[\"([^\"\\]|\\[\"\\])+\"\])|(\[\d+\]))*\)"
)
_MAX_DEPTH = 100


class Checked:
    """
    One process of a document, with everything that it runs.

    Parameters
    ----------
    file : Path
    item : str, optional

    Attributes
    ----------
    problems : list of Problem
    steps : Steps
    scripts : list of Node
        Texts that only JavaScript can evaluate.
    """

    def __init__(self, file: Path, item: str | None) -> None:
        self.reader = Reader()
        self.steps = Steps()
        self.scripts: list[Node] = []
        self.unsupported: list[tuple[Node, str]] = []
        self.inplace: list[Node] = []
        self._seen: set[tuple[str, tuple[str | int, ...]]] = set()
        root = self.reader.open(file.absolute())
        process = self._process(root, item) if root else None
        if process is not None and root is not None:
            self._walk(process, (), _version(root), javascript=False, name=item or file.name)

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong with the document itself."""
        return self.reader.problems

    def _process(self, root: Node, item: str | None) -> Node | None:
        if item:
            return self.reader.refer(f"#{item}", root)
        if isinstance(root.data, dict) and "$graph" in root.data:
            return self.reader.refer("#main", root)
        if not isinstance(root.data, dict) or root.data.get("class") not in CLASSES:
            self.reader.wrong(
                root, f"this is not a CWL process: its class must be one of {', '.join(CLASSES[:3])}"
            )
            return None
        return root

    def _walk(
        self,
        process: Node,
        path: tuple[Node, ...],
        version: str,
        javascript: bool,
        step: str = "",
        scattered: bool = False,
        name: str = "",
    ) -> None:
        """
        A process and all that it runs: its requirements, its steps, its JavaScript.

        `path` are the processes around it, from the outermost on; `step` is the step that runs it, `name` its
        own name.
        """
        if not isinstance(process.data, dict):
            return
        mark = (process.document.source, process.pointer)
        if any((p.document.source, p.pointer) == mark for p in path):
            self.reader.wrong(
                path[-1],
                f"runs {process.file.name} again, which runs it: a circle",
                "a process can't be a step of itself",
            )
            return
        if len(path) > _MAX_DEPTH:
            self.reader.wrong(process, "workflows are nested too deeply")
            return
        version = _version(process) or version
        kind = process.data.get("class")
        if kind == "Operation":
            self.unsupported.append((process, "an abstract Operation can't be run"))
        javascript = self._requirements(process, version) or javascript
        if kind == "Workflow":
            for inner, member in self.reader.entries(process.at("steps")):
                self._step(inner, member, (*path, process), version, javascript, scattered, name)
            _circles(self.reader, process)
            return
        if step and kind == "CommandLineTool":  # a name may be used in two workflows
            self.steps.scattered[step] = scattered or step in self.steps.scattered
        if mark not in self._seen:
            self._seen.add(mark)
            if javascript or kind == "ExpressionTool":
                self.scripts += _scripts(process)

    def _step(
        self,
        name: str,
        member: Node,
        path: tuple[Node, ...],
        version: str,
        javascript: bool,
        scattered: bool,
        workflow: str,
    ) -> None:
        """A step: its requirements and expressions, and what it runs."""
        self._requirements(member, version)
        if javascript:
            self.scripts += [s for key in ("in", "when") for s in _scripts(member.at(key))]
        run = member.at("run") if isinstance(member.data, dict) else member
        many = scattered or (isinstance(member.data, dict) and member.data.get("scatter") is not None)
        target: Node | None = self.reader.resolved(run)
        if isinstance(run.data, str):
            target = (
                self.reader.refer(run.data, run)
                if "://" not in run.data or run.data.startswith("file:")
                else None
            )
        elif run.data is None:
            self.reader.wrong(member, f"the step {name} does not say what it runs", "run: FILE")
        if target is not None:
            named = run.data.rpartition("/")[2].rpartition("#")[2] if isinstance(run.data, str) else ""
            tool = short(target.text("id")) or named
            self.steps.placed.append((workflow, name, tool))
            self._walk(target, path, version, javascript, name, many, tool)

    def _requirements(self, node: Node, version: str) -> bool:
        """Note what no engine can do; True if JavaScript is allowed."""
        javascript = False
        for name, member in _classes(self.reader, node.at("requirements")):
            if name.startswith(_EXTENSIONS):
                continue
            if name == "InplaceUpdateRequirement":
                self.inplace.append(member)
            javascript |= name == "InlineJavascriptRequirement"
            since = REQUIREMENTS.get(name)
            if since is None:
                self.unsupported.append((member, f"the requirement {name} is not supported"))
            elif name in _HINTS_ONLY:
                self.unsupported.append(
                    (member, f"the requirement {name} is not supported; as a hint it is ignored")
                )
            elif version in VERSIONS and VERSIONS.index(version) < VERSIONS.index(since):
                self.reader.wrong(
                    member,
                    f"{name} is part of CWL since {since}, this document is {version}",
                    f"cwlVersion: {since}",
                )
        return javascript


def check(file: Path, item: str | None) -> Checked:
    """
    Read a document with everything that it refers to.

    Raises
    ------
    UsageError
        It is too large.
    """
    found = Checked(file, item)
    root = found.reader.open(file.absolute())
    if root is not None and isinstance(root.data, dict) and root.data.get("cwlVersion") not in VERSIONS:
        version = root.data.get("cwlVersion")
        what = f"cwlVersion is {version}" if version else "there is no cwlVersion"
        found.reader.wrong(root.at("cwlVersion") if version else root, what, f"one of {', '.join(VERSIONS)}")
    return found


def steps_of(file: Path, item: str | None) -> Steps:
    """The steps of a document, none if it can't be read."""
    try:
        return Checked(file, item).steps
    except UsageError:
        return Steps()


def objections(found: Checked, title: str, node: str | None) -> list[Problem]:
    """
    Why an engine can't run a document.

    Parameters
    ----------
    found : Checked
    title : str
        Name and version of the engine.
    node : str, optional
        Path of Node.js, if there is one.
    """
    problems = list(found.problems)
    problems += [
        Problem(n.where, f"{what} by {title}" if "supported" in what else what)
        for n, what in found.unsupported
    ]
    if found.scripts and not node:
        first, more = found.scripts[0], len(found.scripts) - 1
        what = "this is JavaScript, but Node.js is not on PATH" + (f" (and {more} more)" if more else "")
        problems.append(
            Problem(
                first.where,
                what,
                "install it: apt install nodejs, conda install nodejs, or the archive of nodejs.org on PATH",
            )
        )
    return problems


def _version(node: Node) -> str:
    version = node.data.get("cwlVersion") if isinstance(node.data, dict) else None
    return version if isinstance(version, str) else ""


def _classes(reader: Reader, node: Node) -> Iterator[tuple[str, Node]]:
    """Requirements of a list or a map."""
    node = reader.resolved(node)
    if isinstance(node.data, dict):
        for name in node.data:
            yield str(name), node.at(str(name))
    elif isinstance(node.data, list):
        for i in range(len(node.data)):
            member = reader.resolved(node.at(i))
            name = member.data.get("class") if isinstance(member.data, dict) else None
            if isinstance(name, str):
                yield name, member


def _circles(reader: Reader, workflow: Node) -> None:
    """
    Note each circle of steps that wait for each other's outputs, where the first of them asks for the last
    one's.
    """
    own = workflow.text("id").rpartition("#")[2] + "/"
    steps = dict(reader.entries(workflow.at("steps")))
    asked: dict[str, dict[str, Node]] = {name: {} for name in steps}
    for name, step in steps.items():
        for _, given in reader.entries(step.at("in"), "source"):
            sources = given.at("source").data if isinstance(given.data, dict) else None
            for source in sources if isinstance(sources, list) else [sources]:
                before = (
                    str(source).rpartition("#")[2].removeprefix(own).rpartition("/")[0].rpartition("/")[2]
                )
                if before in steps:
                    asked[name].setdefault(before, given)
    while True:
        try:
            graphlib.TopologicalSorter(asked).prepare()
            return
        except graphlib.CycleError as error:
            circle = error.args[1][:0:-1]  # each waits for the next
            first = min(range(len(circle)), key=lambda i: list(steps).index(circle[i]))
            circle = circle[first:] + circle[:first]
            chain = ", which waits for ".join([*circle[1:], circle[0]])
            given = asked[circle[0]][circle[1 % len(circle)]]
            reader.wrong(
                given,
                f"the step {circle[0]} waits for {chain}: a circle",
                "a step can't use what is made of its own outputs",
            )
            for name in circle:
                asked[name] = {}


def _scripts(node: Node) -> Iterator[Node]:
    """Texts with more than references to parameters."""
    stack = [node]
    while stack:
        found = stack.pop()
        if isinstance(found.data, str):
            rest = _REFERENCE.sub("", found.data)
            if ("${" in rest or "$(" in rest) and found.pointer[-1:] not in (("doc",), ("label",)):
                yield found
        elif isinstance(found.data, dict):
            stack += [
                found.at(str(key)) for key in found.data if key not in {"doc", "label", "$import", "$include"}
            ]
        elif isinstance(found.data, list):
            stack += [found.at(i) for i in range(len(found.data))]
