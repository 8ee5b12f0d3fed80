"""Results on the page of a run: links to files and folders, pictures of what is a picture, values."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

from esap_wf.errors import EsapError
from esap_wf.formats import reading
from esap_wf.formats.quantities import human_bytes, human_count
from esap_wf.models.manifest import Output
from esap_wf.models.run import OutputFile, Outputs, counted, json_line
from esap_wf.running.report.markup import Page, add, address, clipped, code, is_there, link, number, put

#: Bytes of a picture that is held by the page itself, and of all of them; larger ones are shown from their
#: files.
HELD, ALL_HELD = 150_000, 400_000
#: Pages among the results that are named first.
REPORTS = 3
#: Bytes of a picture that is shown at all.
SHOWN = 20_000_000
PICTURES = 24
#: What every browser draws, with how such a file begins; SVG draws, but runs nothing, in an `img`.
_KINDS = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF8",),
    "image/webp": (b"RIFF",),
    "image/svg+xml": (b"<",),
}


def show(page: Page, folder: Path, outputs: Outputs | None, declared: list[Output], held: int) -> None:
    """
    Results.

    Parameters
    ----------
    page : Page
    folder : Path
        The run directory.
    outputs : Outputs or None
        What was accepted.
    declared : list of Output
        What the workflow says of its results.
    held : int
        Bytes of pictures that the page may hold itself.
    """
    if outputs is None:
        if is_there(folder / "outputs"):
            put(add(page.body, "p", "No results were accepted. What there is: "), link("outputs/"))
        return
    titles = {o.name: o.title for o in declared if o.title}
    tops = outputs.tops()

    def row(output: OutputFile, inner: int) -> list[object]:
        passed = [c.get("passed") for c in output.checks]
        checks = "" if not passed else f"{sum(p is True for p in passed)} of {len(passed)} passed"
        file = link(output.path, counted(output, inner))
        return [
            output.name,
            titles.get(output.name, ""),
            file,
            number(human_bytes(output.bytes)),
            checks,
            code(output.sha256[:16]),
        ]

    for output, _ in [t for t in tops if t[0].media_type == "text/html"][:REPORTS]:
        put(add(page.body, "p", "The workflow's own report: "), link(output.path))
    size = human_bytes(sum(o.bytes for o, _ in tops))
    note = (
        f"{human_count(len(tops), 'file or folder', 'files and folders')}, {size}; the "
        f"links point into the run directory, where this page is."
    )
    page.table(
        "Results",
        ("name", "title", "file", "size", "checks", "sha256"),
        (row(*top) for top in tops),
        len(tops),
        note,
    )
    _pictures(page, folder, outputs, held)
    page.table(
        "Values",
        ("name", "value"),
        ((n, json_line(v)) for n, v in outputs.values.items()),
        len(outputs.values),
    )


def _pictures(page: Page, folder: Path, outputs: Outputs, held: int) -> None:
    found = [
        o for o in outputs.outputs if o.media_type in _KINDS and 0 < o.bytes <= SHOWN and address(o.path)
    ]
    if not found:
        return
    most = min(PICTURES, page.most)
    add(page.body, "h2", "Pictures")
    grid = add(page.body, "div", class_="pictures")
    for output, data in _data(folder, found[:most], held):
        figure = add(grid, "figure")
        add(figure, "img", alt=clipped(output.path, 100), loading="lazy", src=data or address(output.path))
        put(add(figure, "figcaption"), link(output.path))
    if len(found) > most:
        add(page.body, "p", f"and {len(found) - most} more")


def _data(folder: Path, pictures: list[OutputFile], held: int) -> Iterator[tuple[OutputFile, str]]:
    """Pictures with their content as an address, or with nothing if that would be too large."""
    for picture in pictures:
        data = b""
        if picture.bytes <= min(HELD, held):
            try:
                data = reading.read_bytes(folder / picture.path, limit=min(HELD, held))
            except EsapError:
                data = b""
        if not data.startswith(_KINDS[picture.media_type]):
            data = b""
        held -= len(data)
        yield picture, f"data:{picture.media_type};base64,{base64.b64encode(data).decode()}" if data else ""
