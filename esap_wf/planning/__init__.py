"""What a run will be before it starts: its plan, its identity, its place and software, and what was run
before.

Nothing here starts or changes a run. Imported by flow, authoring and the surfaces.
"""
