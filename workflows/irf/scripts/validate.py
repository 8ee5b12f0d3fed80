"""Step `validate`: check an IRF file, find an injected source again, and write the verdict. An invalid file is no failure here."""

from __future__ import annotations

import argparse
import logging
import warnings
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

from checks import Verdict, check_file  # noqa: E402  gammapy warns while it is imported
from database import cell  # noqa: E402
from documents import read_json, write_json, write_text  # noqa: E402
from injection import UnderTest, closure  # noqa: E402

#: largest pull of the injected source; two parameters beyond it by chance: 1 in 8000
LARGEST_PULL = 4.0
#: simulated gammas near the axis for each excess count: below, noise of the response shows in fits
GAMMAS_PER_EXCESS = 30
#: excess counts of the injected source; fewer than the lowest say nothing
EXCESS_RANGE = (50, 20000)


def check_statistics(v: Verdict, gammas: int, intended: int | None) -> None:
    """Warn if an observation has so many counts that the noise of the response shows."""
    if intended and gammas < GAMMAS_PER_EXCESS * intended:
        v.warnings.append(
            f"{gammas} simulated gammas near the axis are fewer than {GAMMAS_PER_EXCESS} for each of {intended} intended excess counts: "
            f"good for {gammas // GAMMAS_PER_EXCESS}; throw {GAMMAS_PER_EXCESS * intended / max(gammas, 1):.1f} times as many"
        )


def check_closure(v: Verdict, test: UnderTest, intended: int | None) -> dict[str, Any] | None:
    """Inject a source of as many counts as the response may be used for, and demand small pulls."""
    gammas = test.document["gammas_near_axis"]
    excess = min(intended or EXCESS_RANGE[1], gammas // GAMMAS_PER_EXCESS, EXCESS_RANGE[1])
    if excess < EXCESS_RANGE[0]:
        v.warnings.append(f"closure not tested: {gammas} gammas near the axis are good for {excess} excess counts only")
        return None
    try:
        row = closure(test, test.document["parameters"]["seed"], excess=excess)
    except Exception as error:
        v.check("closure: fit", False, f"{type(error).__name__}: {error}")
        return None
    counted = row["excess"] is not None and row["sqrt_ts"] is not None
    detail = f"{row['excess']:.0f} excess counts, {row['sqrt_ts']:.1f} sigma" if counted else "no excess could be computed"
    v.check("closure: fit converged", row["converged"] and counted, detail)
    for name in ("amplitude", "index"):
        fitted = row[name]
        good = fitted["pull"] is not None and abs(fitted["pull"]) <= LARGEST_PULL
        detail = (
            "no error"
            if fitted["pull"] is None
            else f"{fitted['value']:.3g} ± {fitted['error']:.2g}, true {fitted['true']:.3g}: pull {fitted['pull']:+.2f}"
        )
        v.check(f"closure: {name}", good, detail)
    return row


def validate(path: str | Path, intended: int | None = None, with_closure: bool = True) -> dict[str, Any]:
    """
    Verdict on an IRF file.

    Parameters
    ----------
    path : path
    intended : int, optional
        Excess counts of the observation that the response is for.
    with_closure : bool
        Inject a source, if the file says which simulator it belongs to.

    Returns
    -------
    dict
        ``valid``, ``checks``, ``warnings``, ``kind``, ``present``, ``missing``, ``closure``.
    """
    v = Verdict()
    facts, row = check_file(v, path), None
    try:
        test = UnderTest.read(path)
    except Exception as error:
        v.warnings.append(f"closure and statistics not tested: {error}")
    else:
        check_statistics(v, test.document["gammas_near_axis"], intended)
        # with broken tables a fit has nothing to say, and may run forever
        if with_closure and all(c["passed"] for c in v.checks):
            row = check_closure(v, test, intended)
        elif with_closure:
            v.warnings.append("closure not tested: checks before it failed")
    return v.document(closure=row, **facts)


def page(name: str, document: dict[str, Any]) -> str:
    """The verdict as a Markdown page."""
    lines = [
        f"# {cell(name)}: {'valid' if document['valid'] else 'INVALID'}",
        "",
        f"Kind: {document['kind']}; components: {', '.join(document['present'])}",
    ]
    if document["missing"]:
        lines += ["", f"Missing: {', '.join(document['missing'])}"]
    lines += ["", *(f"- warning: {cell(w)}" for w in document["warnings"]), "", "| check | passed | detail |", "|---|---|---|"]
    lines += [f"| {cell(c['name'])} | {'yes' if c['passed'] else '**no**'} | {cell(c['detail'])} |" for c in document["checks"]]
    return "\n".join(lines) + "\n"


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--irf", type=Path, required=True)
    cli.add_argument("--parameters", type=Path, required=True, help="JSON with `parameters`: intended_excess, closure")
    cli.add_argument("--out", type=Path, required=True)
    cli.add_argument("--page", type=Path, help="the verdict in Markdown too")
    args = cli.parse_args()
    parameters = read_json(args.parameters)["parameters"]
    document = validate(args.irf, parameters.get("intended_excess"), parameters.get("closure", True))
    for check in document["checks"]:
        print("ok  " if check["passed"] else "FAIL", check["name"], f"({check['detail']})" if check["detail"] else "")
    for warning in document["warnings"]:
        print("warning:", warning)
    if args.page:
        write_text(args.page, page(args.irf.name, document))
    write_json(args.out, document)
    print("valid" if document["valid"] else "INVALID")


if __name__ == "__main__":
    main()
