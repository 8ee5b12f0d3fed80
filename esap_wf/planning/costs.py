"""What a run costs: its units, and the manifest's resource model with its values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.errors import Problem, UsageError
from esap_wf.models.manifest import Manifest
from esap_wf.models.place import Profile
from esap_wf.models.plan import EngineChoice, Estimate
from esap_wf.planning import resources
from esap_wf.request.validation import Validated
from esap_wf.runs import measurements
from esap_wf.runs.measurements import Measurement


@dataclass(frozen=True)
class Costs:
    """
    Units of a run, and what they cost with some cores.

    Parameters
    ----------
    workflow : Workflow
    values : mapping
        Parameters, and what was selected.
    units : int
    input_bytes : int
    """

    workflow: Workflow
    values: Mapping[str, Any]
    units: int
    input_bytes: int

    @classmethod
    def of(cls, valid: Validated, values: Mapping[str, Any]) -> Costs:
        """
        Of a request, with its values.

        Raises
        ------
        UsageError
            The manifest's count of units fails.
        """
        workflow, names = valid.workflow, {**values, **valid.selected}
        size = sum(ref.bytes or 0 for refs in valid.inputs.values() for ref in refs)
        try:
            return cls(workflow, names, resources.units_of(workflow, names, _rows(valid)), size)
        except ValueError as error:
            raise _failing(workflow, error) from None

    def estimate(self, cores: int) -> Estimate:
        """
        What the model says.

        Raises
        ------
        UsageError
            It fails with these values.
        """
        try:
            return resources.estimate_of(self.workflow, self.values, self.units, cores, self.input_bytes)
        except ValueError as error:
            raise _failing(self.workflow, error) from None


def _rows(valid: Validated) -> int | None:
    """Rows of the table whose rows are the units, or files of the input whose files are."""
    manifest = valid.workflow.manifest
    table = manifest.units.table if manifest.units else None
    named = {name: refs for name, refs in valid.inputs.items() if table in (None, name)}
    rows = next((ref.rows for refs in named.values() for ref in refs if ref.rows is not None), None)
    if rows is None and table and manifest.inputs[table].many:
        return len(valid.inputs.get(table, ())) or None
    return rows


def _failing(workflow: Workflow, error: ValueError) -> UsageError:
    return UsageError(
        "the manifest's resource model fails",
        [Problem(workflow.document.where(["resources"]), str(error))],
    )


def measured_at(profile: Profile) -> str:
    """The name by which use at a place is recorded: this machine is one, whatever it is called."""
    return measurements.LOCAL if profile.kind == measurements.LOCAL else profile.name


def earlier_runs(config: Config, manifest: Manifest, engine: EngineChoice, place: str) -> list[Measurement]:
    """
    What the last runs with an engine used at a place, of this version of the workflow if there are any. Runs
    elsewhere say nothing: other processors, and engines that see other memory.
    """
    found = [
        m
        for m in measurements.lately(config.store / "records", manifest.name, place)
        if m.engine == engine.name
    ]
    return [m for m in found if m.version == manifest.version] or found
