"""The file formats, as frozen `msgspec.Struct`s; JSON Schemas are derived from them
(`esap_wf.formats.schemas`).

Every file carries ``schema_version``. May be imported by every module; imports `esap_wf.errors` only.
"""
