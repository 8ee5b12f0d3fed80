"""The file formats, as frozen `msgspec.Struct`s; JSON Schemas are derived from them
(`esap_wf.formats.schemas`).

Every file carries ``schema_version``. What there may be 10^5 of at once has ``gc=False``: none of them leads
back to itself, and the garbage collector need not look at each again and again.
"""

import msgspec


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    A document, or a part of one.

    What is read from a store may have members that this version does not know, because another version of the
    program has written them: they are skipped. What people write is read by
    `esap_wf.formats.schemas.convert`, for which an unknown member is a mistake. So one type serves both.
    """
