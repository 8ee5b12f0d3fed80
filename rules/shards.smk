# Units in shards: jobs of many units each, carried out by rules/shard (docs/shards.md). Without `shard_size` in the configuration
# there are none, and each unit is a job of its own.
from pathlib import Path as _Path

from snakemake.exceptions import WorkflowError as _WorkflowError

# Where the runner stands: `python3 -B {SHARD_RUNNER:q} …`
SHARD_RUNNER = str(_Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).resolve() / "shard")


class Shards:
    """
    How the units of a step are cut. False if they are not.

    `units` are the units' names in their order; `folder` has the journals, the manifests and the list of units.
    """

    def __init__(self, config, step, units):
        size = config.get("shard_size")
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 1000000):
            raise _WorkflowError(f"`shard_size` is {size!r}; it must be a whole number between 1 and 1000000")
        self.size, self.step, self.units = size, step, list(units)
        self.folder = f"work/shards/{step}"
        starts = range(1, len(self.units) + 1, size) if size else []
        self.parts = [f"{first}-{min(first + size - 1, len(self.units))}" for first in starts]
        self._number = {unit: number for number, unit in enumerate(self.units)}

    def __bool__(self):
        return bool(self.parts)

    def made(self, pattern, units=None):
        """What a rule waits for that reads the files of units (all, or some): these files, or the manifests of their shards."""
        units = self.units if units is None else units
        if not self:
            return [pattern.replace("{unit}", unit) for unit in units]
        return [f"{self.folder}/{self.parts[n]}.json" for n in sorted({self._number[unit] // self.size for unit in units})]
