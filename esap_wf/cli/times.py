"""Times and durations as people read them: local where they are precise, "5 min ago" in lists. Light."""

from __future__ import annotations

from datetime import UTC, datetime

#: Seconds of what an age is told in, largest first.
_AGES = ((86_400, "day"), (3600, "hour"), (60, "min"))


def _parsed(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def local(text: str | None) -> str:
    """
    A time of a run in the zone of this machine, with its name: ``2026-11-26 12:04:05 CET``; empty if there is
    none.
    """
    moment = _parsed(text)
    if moment is None:
        return ""
    try:
        moment = moment.astimezone()
    except (OverflowError, OSError, ValueError):
        moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S} {moment.tzname() or moment.strftime('%z')}"


def age(text: str | None, now: datetime | None = None) -> str:
    """How long ago: ``just now``, ``5 min ago``, ``1 hour ago``, ``3 days ago``; after some weeks the day."""
    moment = _parsed(text)
    if moment is None:
        return ""
    seconds = int(((now or datetime.now(UTC)) - moment).total_seconds())
    if seconds >= 60 * 86_400 or seconds < -60:
        return f"{moment:%Y-%m-%d}"
    for size, name in _AGES:
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}{'s' if count != 1 and name != 'min' else ''} ago"
    return "just now"


def seconds_of(started: str | None, ended: str | None = None, now: datetime | None = None) -> float | None:
    """Seconds from a start to an end, or until now; None if it has not started."""
    begin, end = _parsed(started), _parsed(ended) or now or datetime.now(UTC)
    return round(max(0.0, (end - begin).total_seconds()), 3) if begin else None


def lasting(seconds: float | None) -> str:
    """A duration: ``4 s``, ``2 min 5 s``, ``1 h 5 min``; empty if there is none."""
    from esap_wf.formats.quantities import human_seconds

    if seconds is None:
        return ""
    whole = round(seconds)
    if 60 <= whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min" + (f" {rest} s" if rest else "")
    return human_seconds(whole) if whole >= 3600 else f"{whole} s"
