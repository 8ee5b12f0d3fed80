"""DataLink documents, as services write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape

from helpers.websites import File

COLUMNS = ("ID", "access_url", "service_def", "error_message", "semantics", "content_type", "content_length")
MEDIA = "application/x-votable+xml;content=datalink"
#: A service that cuts out of a file.
SERVICE = """
<RESOURCE type="meta" utype="adhoc:service" ID="cutout">
  <PARAM name="standardID" datatype="char" arraysize="*" value="ivo://ivoa.net/std/SODA#sync-1.0"/>
  <PARAM name="accessURL" datatype="char" arraysize="*" value="https://example.org/cutout"/>
  <GROUP name="inputParams"><PARAM name="ID" datatype="char" arraysize="*" value="" ref="primary"/></GROUP>
</RESOURCE>"""


def document(rows: Iterable[Mapping[str, object]], status: str = "OK", more: str = SERVICE) -> str:
    """A document of these rows; a column that a row doesn't name is empty in it."""
    text = "datatype='char' arraysize='*'"
    kinds = {"content_length": "datatype='long' unit='byte'", "ID": f"{text} ID='primary'"}
    fields = "".join(f"<FIELD name='{name}' {kinds.get(name, text)}/>" for name in COLUMNS)
    cells = ""
    for row in rows:
        cells += "".join(
            ["<TR>", *(f"<TD>{escape(str(row.get(name, '')))}</TD>" for name in COLUMNS), "</TR>\n"]
        )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE type="results">
  <INFO name="standardID" value="ivo://ivoa.net/std/DataLink#links-1.1"/>
  <INFO name="QUERY_STATUS" value="{status}">said of it</INFO>
  <TABLE>{fields}<DATA><TABLEDATA>
{cells}</TABLEDATA></DATA></TABLE>
</RESOURCE>{more}
</VOTABLE>
"""


def page(rows: Iterable[Mapping[str, object]], media: str = MEDIA) -> File:
    """A page of a server, which is such a document."""
    return File(document(rows).encode(), {"Content-Type": media})
