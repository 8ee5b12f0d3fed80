"""A run from its plan to its accepted results: rendered, owned, launched, watched, collected, reported.

Imported by planning (which renders to know a run's bytes), flow and the surfaces.
"""
