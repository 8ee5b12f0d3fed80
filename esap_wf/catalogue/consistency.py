"""What a manifest names, and what isn't there: parameters, inputs, files; and what it says twice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from esap_wf.catalogue.workflow import Kind, Workflow
from esap_wf.errors import Problem
from esap_wf.formats import expressions, reading, schemas

Pointer = Sequence[str | int]


def problems(workflow: Workflow) -> Iterator[Problem]:
    """Names and files that a manifest refers to and that aren't there."""
    names = _Names(workflow)
    yield from names.in_expressions()
    yield from names.in_choices()
    yield from names.in_identity()
    yield from _stages(workflow)
    yield from _shards(workflow)
    yield from _outputs(workflow)
    yield from _software(workflow)
    yield from _files(workflow)


class _Names:
    """Names of parameters and inputs, wherever a manifest uses them."""

    def __init__(self, workflow: Workflow) -> None:
        self.manifest, self.where = workflow.manifest, workflow.document.where
        self.parameters, self.inputs = set(workflow.properties), set(workflow.manifest.inputs)

    def in_expressions(self) -> Iterator[Problem]:
        """Rules, the count of units, estimates."""
        m = self.manifest
        for i, rule in enumerate(m.rules):
            yield from self._expression(rule.that, ["rules", i, "that"], set())
            for name in rule.parameters:
                yield from self._parameter(name, ["rules", i, "parameters"])
        if m.units:
            yield from self._expression(m.units.count, ["units", "count"], {"rows"})
            if m.units.table:
                yield from self._input(m.units.table, ["units", "table"])
        for key in ("core_seconds", "serial_seconds", "memory_bytes", "disk_bytes"):
            yield from self._expression(
                getattr(m.resources.estimate, key),
                ["resources", "estimate", key],
                {"units", "cores", "input_bytes"},
            )

    def in_choices(self) -> Iterator[Problem]:
        """The size that is the default, rows that are selected by parameters."""
        m = self.manifest
        if m.resources.sizes:
            yield from self._unknown(
                m.resources.default, ["resources", "default"], set(m.resources.sizes), "size"
            )
        for i, select in enumerate(m.select):
            yield from self._input(select.source, ["select", i, "from"])
            for column, name in select.match.items():
                yield from self._parameter(name, ["select", i, "match", column])

    def in_identity(self) -> Iterator[Problem]:
        """What makes two runs the same science, and the seed."""
        m = self.manifest
        for name in m.identity.parameters if m.identity else ():
            yield from self._parameter(name, ["identity", "parameters"])
        for name in m.identity.inputs if m.identity else ():
            yield from self._input(name, ["identity", "inputs"])
        if m.random:
            yield from self._parameter(m.random.seed, ["random", "seed"])

    def _parameter(self, name: str, pointer: Pointer) -> Iterator[Problem]:
        return self._unknown(name, pointer, self.parameters, "parameter")

    def _input(self, name: str, pointer: Pointer) -> Iterator[Problem]:
        return self._unknown(name, pointer, self.inputs, "input")

    def _unknown(self, name: str, pointer: Pointer, names: set[str], what: str) -> Iterator[Problem]:
        if name not in names:
            yield Problem(self.where(pointer), f"there is no {what} {name}", schemas.closest(name, names))

    def _expression(self, text: str | float, pointer: Pointer, extra: set[str]) -> Iterator[Problem]:
        try:
            for name in sorted(expressions.names_in(text)):
                yield from self._unknown(name, pointer, self.parameters | extra, "parameter")
        except ValueError as error:
            yield Problem(self.where(pointer), str(error))


def _stages(workflow: Workflow) -> Iterator[Problem]:
    """Stages come in pairs; what one gives must be an input that the other does not have already."""
    m, where = workflow.manifest, workflow.document.where
    for i, implementation in enumerate(m.implementations):
        at: Pointer = ["implementations", i]
        if len(implementation.stages) == 1:
            (there,) = implementation.stages
            lacks = "join" if there == "map" else "map"
            yield Problem(where([*at, there]), f"there is no {lacks} beside {there}", "give both, or neither")
        if implementation.map and not implementation.map.gives:
            hint = "gives: {name: pattern of files that each slice makes}"
            yield Problem(where([*at, "map"]), "gives nothing that could be joined", hint)
        for name in implementation.map.gives if implementation.map else ():
            if name in workflow.properties or name in m.inputs:
                kind = "parameter" if name in workflow.properties else "input"
                what = f"{name} is the name of a {kind}, and what the slices give is an input, too"
                yield Problem(where([*at, "map", "gives", name]), what, "choose another name")
        if implementation.join and implementation.join.gives:
            yield Problem(where([*at, "join", "gives"]), "only map gives something", "leave it out")
    stages = any(implementation.stages for implementation in m.implementations)
    for name in ("slice", "slices") if stages else ():
        if name in workflow.properties:
            what = f"the stage map gets its slice by the name {name}, so no parameter can have it"
            yield Problem(f"{workflow.folder / m.parameters}: properties.{name}", what, "choose another name")
    if stages and m.units is None:
        where_ = where(["implementations"])
        yield Problem(where_, "there are stages, but no units that could be cut into slices", "say `units`")


def _shards(workflow: Workflow) -> Iterator[Problem]:
    """Shards are jobs of many units: there must be units, and their size has a name of its own."""
    m, where = workflow.manifest, workflow.document.where
    for i, implementation in enumerate(m.implementations):
        if (shards := implementation.shards) is None:
            continue
        steps = m.units.steps if m.units else []
        if shards.step not in steps:
            hint = schemas.closest(shards.step, steps) or "`units.steps` must name it"
            what = f"{shards.step} is no step of units"
            yield Problem(where(["implementations", i, "shards", "step"]), what, hint)
        if shards.job == shards.step:
            what = "a shard must have another name than the step of its units"
            yield Problem(where(["implementations", i, "shards", "job"]), what, f"{shards.step}_shard")
    if (
        any(implementation.shards for implementation in m.implementations)
        and "shard_size" in workflow.properties
    ):
        what = "engines get the size of shards by the name shard_size, so no parameter can have it"
        yield Problem(f"{workflow.folder / m.parameters}: properties.shard_size", what, "choose another name")


def _outputs(workflow: Workflow) -> Iterator[Problem]:
    where, names = workflow.document.where, [o.name for o in workflow.manifest.outputs]
    for i, name in enumerate(names):
        if workflow.kind is Kind.HOUSE and not re.fullmatch("[a-z][a-z0-9_]*", name):
            yield Problem(where(["outputs", i, "name"]), f"{name} is not in snake_case")
        if names.count(name) > 1:
            yield Problem(where(["outputs", i, "name"]), f"the output {name} is listed twice")


def _software(workflow: Workflow) -> Iterator[Problem]:
    for i, software in enumerate(workflow.manifest.software):
        if (
            sum(
                v is not None
                for v in (software.installed, software.python, software.container, software.mounted)
            )
            != 1
        ):
            yield Problem(
                workflow.document.where(["software", i]),
                "give exactly one of installed, python, container and mounted",
            )


def _files(workflow: Workflow) -> Iterator[Problem]:
    for pointer, name in _named_files(workflow):
        target, where = reading.real(workflow.folder / name), workflow.document.where(pointer)
        if not target.is_relative_to(workflow.folder.resolve()):
            yield Problem(where, f"{name} leads out of the workflow folder")
        elif not target.is_file():
            yield Problem(where, f"there is no file {name} in {workflow.folder}")


def _named_files(workflow: Workflow) -> Iterator[tuple[Pointer, str]]:
    """Files of the workflow's folder that its manifest names, and where it does."""
    m = workflow.manifest
    found: list[tuple[Pointer, object]] = [
        (["implementations", i, "file"], implementation.file)
        for i, implementation in enumerate(m.implementations)
        if not implementation.upstream
    ]
    found += [
        (["implementations", i, name, "file"], stage.file)
        for i, implementation in enumerate(m.implementations)
        for name, stage in implementation.stages.items()
        if not implementation.upstream
    ]
    found += [
        (["implementations", i, "shards", "file"], implementation.shards.file)
        for i, implementation in enumerate(m.implementations)
        if implementation.shards and not implementation.upstream
    ]
    for name, given in m.inputs.items():
        found += [(["inputs", name, key], getattr(given, key) or None) for key in ("default", "rows")]
    found += [(["outputs", i, "schema"], output.schema or None) for i, output in enumerate(m.outputs)]
    for i, software in enumerate(m.software):
        found += [
            (["software", i, "installed"], software.installed),
            (["software", i, "python"], software.python),
        ]
    yield from ((pointer, file) for pointer, file in found if isinstance(file, str))
