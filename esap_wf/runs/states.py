"""Which phase may follow which, and why.

`TRANSITIONS` is the table of docs/runs.md and what `Run.write_state` enforces.
"""

from __future__ import annotations

from esap_wf.errors import EsapError
from esap_wf.models.run import Phase

_P = Phase

#: Old phase, new phase: why. What isn't here is a bug of the caller.
TRANSITIONS: dict[tuple[Phase, Phase], str] = {
    (_P.PENDING, _P.QUEUED): "a supervisor has taken the run",
    (_P.PENDING, _P.ABORTED): "cancelled before a supervisor took it",
    (_P.PENDING, _P.ERROR): "the supervisor could not be started",
    (
        _P.PENDING,
        _P.UNKNOWN,
    ): "seen by an observer: the command that created it is gone and no supervisor has started",
    (_P.QUEUED, _P.EXECUTING): "the engine was started",
    (
        _P.QUEUED,
        _P.COMPLETED,
    ): "the outputs had been accepted before the last supervisor died; only the phase was missing",
    (_P.QUEUED, _P.ERROR): "preparation failed: software, rendering, no free slot",
    (_P.QUEUED, _P.ABORTED): "cancelled while it waited",
    (_P.QUEUED, _P.HELD): "cannot start until somebody acts: credential, space, permission",
    (_P.QUEUED, _P.SUSPENDED): "the supervisor's own time ran out while it waited",
    (_P.QUEUED, _P.UNKNOWN): "seen by an observer: the supervisor is gone",
    (_P.EXECUTING, _P.COMPLETED): "all outputs are present, valid and accepted",
    (_P.EXECUTING, _P.ERROR): "a step failed, or an output is missing or invalid",
    (_P.EXECUTING, _P.ABORTED): "cancelled",
    (_P.EXECUTING, _P.HELD): "cannot go on until somebody acts: credential, space, permission",
    (_P.EXECUTING, _P.SUSPENDED): "drained before a time limit",
    (_P.EXECUTING, _P.QUEUED): "resumed by a new supervisor after the last one died",
    (_P.EXECUTING, _P.UNKNOWN): "seen by an observer: the supervisor is gone",
    (_P.ERROR, _P.QUEUED): "resumed",
    (_P.ERROR, _P.ARCHIVED): "removed",
    (_P.ABORTED, _P.QUEUED): "resumed",
    (_P.ABORTED, _P.ARCHIVED): "removed",
    (_P.COMPLETED, _P.ARCHIVED): "removed",
    (_P.HELD, _P.QUEUED): "resumed: somebody has acted",
    (_P.HELD, _P.ABORTED): "cancelled instead",
    (_P.HELD, _P.ERROR): "what it waited for can no longer come",
    (_P.SUSPENDED, _P.QUEUED): "resumed",
    (_P.SUSPENDED, _P.ABORTED): "cancelled while it was suspended",
    (_P.UNKNOWN, _P.QUEUED): "resumed: nothing of the lost attempt is left running",
    (_P.UNKNOWN, _P.ABORTED): "cancelled: nothing of the lost attempt is left running",
    (_P.UNKNOWN, _P.ARCHIVED): "removed",
}

#: May follow each phase.
FOLLOWERS: dict[Phase, frozenset[Phase]] = {
    old: frozenset(n for o, n in TRANSITIONS if o is old) for old in Phase
}
#: Nothing happens any more unless a person asks.
FINAL = frozenset({_P.COMPLETED, _P.ERROR, _P.ABORTED, _P.ARCHIVED})
#: Somebody must be working on it, or it is UNKNOWN.
ACTIVE = frozenset({_P.PENDING, _P.QUEUED, _P.EXECUTING})
#: `resume` accepts it.
RESUMABLE = frozenset({_P.ERROR, _P.ABORTED, _P.UNKNOWN, _P.HELD, _P.SUSPENDED})
#: `rm` accepts it; HELD and SUSPENDED are cancelled first.
REMOVABLE = frozenset(old for old, new in TRANSITIONS if new is _P.ARCHIVED)
#: Derived by observers; `state.json` never contains them.
NEVER_WRITTEN = frozenset({_P.UNKNOWN, _P.ARCHIVED})


class IllegalTransitionError(EsapError):
    """A bug: a phase was to follow another that it cannot follow."""


def check(old: Phase, new: Phase) -> None:
    """
    Raise if `new` cannot follow `old`. The same phase again is a progress report and fine while the run isn't
    final.

    Parameters
    ----------
    old, new : Phase
        Phase on disk, phase to be written.

    Raises
    ------
    IllegalTransitionError
        An internal error: the caller is wrong, not the user.
    """
    if old is new and old not in FINAL:
        return
    if new not in FOLLOWERS[old]:
        allowed = ", ".join(sorted(FOLLOWERS[old])) or "nothing"
        raise IllegalTransitionError(f"a run cannot go from {old} to {new}: {allowed} may follow {old}")


def as_table() -> str:
    """The transitions as a Markdown table, for the documentation."""
    rows = [f"| {old} | {new} | {why} |" for (old, new), why in TRANSITIONS.items()]
    return "\n".join(["| from | to | why |", "|---|---|---|", *rows])
