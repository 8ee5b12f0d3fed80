"""
The verdict: checks that passed or failed and remarks, each with its severity, its place and the paragraph of
the standard.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: severities, the gravest first
VIOLATION, IMPLAUSIBLE, STATISTICS, NOTE = (
    "GADF violation",
    "physically implausible",
    "thin statistics",
    "note",
)
SEVERITIES = (VIOLATION, IMPLAUSIBLE, STATISTICS, NOTE)


@dataclass(frozen=True)
class Place:
    """Where in a response: a table, and inside it an offset (deg) and an energy (TeV) if one can be named."""

    table: str = ""
    offset: float | None = None
    energy: float | None = None

    def words(self) -> str:
        """``at 2.5 deg, 0.3 TeV``; the table stands in the name of a check."""
        parts = [
            f"{value:.3g} {unit}"
            for value, unit in ((self.offset, "deg"), (self.energy, "TeV"))
            if value is not None
        ]
        return f"at {', '.join(parts)}" if parts else ""

    def document(self) -> dict[str, Any]:
        """As it is written; numbers are rounded to what a reader needs."""
        return {
            "table": self.table or None,
            "offset_deg": None if self.offset is None else float(f"{self.offset:.4g}"),
            "energy_tev": None if self.energy is None else float(f"{self.energy:.4g}"),
        }


@dataclass
class Verdict:
    """Checks made, and remarks that don't make a response invalid."""

    checks: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[dict[str, Any]] = field(default_factory=list)
    #: what else a reader must know: plain sentences
    warnings: list[str] = field(default_factory=list)

    def check(
        self,
        name: str,
        passed: Any,
        detail: str = "",
        *,
        severity: str = VIOLATION,
        place: Place | None = None,
        paragraph: str = "",
    ) -> bool:
        """
        Note one check; one that fails makes the response invalid.

        Parameters
        ----------
        name : str
            The table, a colon, what was asked.
        passed : bool
        detail : str
            What was found, and what was expected.
        severity : str
            One of `SEVERITIES`: what it means if the check fails.
        place : Place, optional
        paragraph : str
            Of GADF 0.3.
        """
        self.checks.append(
            {"name": name, "passed": bool(passed), **_described(detail, severity, place, paragraph)}
        )
        return bool(passed)

    def remark(
        self, name: str, detail: str, *, severity: str, place: Place | None = None, paragraph: str = ""
    ) -> None:
        """Note what a reader should know but what makes nothing invalid; all but notes are warnings."""
        said = _described(detail, severity, place, paragraph)
        self.remarks.append({"name": name, **said})
        if severity != NOTE:
            self.warnings.append(f"{name}: {said['detail']} ({severity})")

    def judged(
        self,
        name: str,
        grade: str,
        detail: str,
        *,
        severity: str = IMPLAUSIBLE,
        place: Place | None = None,
        paragraph: str = "",
    ) -> None:
        """A check of three grades: ``good``, ``odd`` (passes with a warning), ``bad`` (fails)."""
        self.check(name, grade != "bad", detail, severity=severity, place=place, paragraph=paragraph)
        if grade == "odd":
            self.remark(name, detail, severity=severity, place=place, paragraph=paragraph)

    def document(self, **more: Any) -> dict[str, Any]:
        """The verdict as it is written: valid if there was a check and none failed."""
        valid = bool(self.checks) and all(c["passed"] for c in self.checks)
        return {
            "valid": valid,
            "checks": self.checks,
            "remarks": self.remarks,
            "warnings": self.warnings,
            **more,
        }


def _described(detail: str, severity: str, place: Place | None, paragraph: str) -> dict[str, Any]:
    place = place or Place()
    where = place.words()
    text = f"{detail} {where}".strip() if where and where not in detail else detail
    return {"detail": text, "severity": severity, "place": place.document(), "paragraph": paragraph or None}
