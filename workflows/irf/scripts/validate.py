"""
Step `validate`: check an IRF file, find an injected source again, and write the verdict. An invalid file is
no failure here.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

from checks import Expected, Verdict, check_files  # noqa: E402  gammapy warns while it is imported
from closing import check_closure, check_statistics  # noqa: E402
from database import cell  # noqa: E402
from documents import read_json, write_json, write_text  # noqa: E402
from injection import UnderTest  # noqa: E402


def validate(
    path: str | Path | Sequence[str | Path],
    intended: int | None = None,
    with_closure: bool = True,
    expected: Expected | None = None,
) -> dict[str, Any]:
    """
    Verdict on an IRF.

    Parameters
    ----------
    path : path or sequence of path
        The file, or all files that hold the tables of the response.
    intended : int, optional
        Excess counts of the observation that the response is for.
    with_closure : bool
        Inject a source, if the file says which simulator it belongs to.
    expected : Expected, optional
        Kind and telescope that the analysis asks for.

    Returns
    -------
    dict
        As validation.schema.json has it: ``valid``, ``checks``, ``remarks``, ``warnings``, ``kind``,
        ``present``, ``missing``, ``tables``, ``closure``.
    """
    v = Verdict()
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    facts, row = check_files(v, paths, expected), None
    try:
        # what this workflow makes is one file
        test = UnderTest.read(paths[0])
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
    """
    The verdict as a Markdown page: what failed and what is remarked first, with its paragraph of the
    standard, then all checks.
    """
    failed = [c for c in document["checks"] if not c["passed"]]
    lines = [
        f"# {cell(name)}: {'valid' if document['valid'] else 'INVALID'}",
        "",
        f"Kind: {document['kind']}; components: {', '.join(document['present'])}",
    ]
    if document["missing"]:
        lines += ["", f"Missing: {', '.join(document['missing'])}"]
    lines += ["", *(f"- warning: {cell(w)}" for w in document["warnings"])]
    for title, rows in (("Failed", failed), ("Remarks", document["remarks"])):
        if rows:
            lines += ["", f"## {title}", "", "| severity | what | found | standard |", "|---|---|---|---|"]
            lines += [
                f"| {r['severity']} | {cell(r['name'])} | {cell(r['detail'])} | {r['paragraph'] or ''} |"
                for r in rows
            ]
    lines += ["", "## All checks", "", "| check | passed | detail |", "|---|---|---|"]
    lines += [
        f"| {cell(c['name'])} | {'yes' if c['passed'] else '**no**'} | {cell(c['detail'])} |"
        for c in document["checks"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument(
        "--irf",
        type=Path,
        required=True,
        nargs="+",
        help="one file, or all files that hold the tables of the response",
    )
    cli.add_argument(
        "--parameters",
        type=Path,
        required=True,
        help="JSON with `parameters`: intended_excess, closure, kind, telescope",
    )
    cli.add_argument("--out", type=Path, required=True)
    cli.add_argument("--page", type=Path, help="the verdict in Markdown too")
    args = cli.parse_args()
    parameters = read_json(args.parameters)["parameters"]
    expected = Expected(parameters.get("kind"), parameters.get("telescope"))
    document = validate(
        args.irf, parameters.get("intended_excess"), parameters.get("closure", True), expected
    )
    for check in document["checks"]:
        print(
            "ok  " if check["passed"] else f"FAIL [{check['severity']}]",
            check["name"],
            f"({check['detail']})" if check["detail"] else "",
        )
    for warning in document["warnings"]:
        print("warning:", warning)
    if args.page:
        write_text(args.page, page(", ".join(f.name for f in args.irf), document))
    write_json(args.out, document)
    print("valid" if document["valid"] else "INVALID")


if __name__ == "__main__":
    main()
