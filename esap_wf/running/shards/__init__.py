"""Units that are carried out in shards: what the journals of the shards tell, beside what the engine does."""

from esap_wf.running.shards.events import ShardedEvents
from esap_wf.running.shards.journals import FOLDER, Journals

__all__ = ["FOLDER", "Journals", "ShardedEvents"]
