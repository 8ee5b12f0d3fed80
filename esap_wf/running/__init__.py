"""A run from its plan to its accepted results: rendered, owned, launched, watched, collected, told.

Imported by planning (which renders to know a run's bytes), flow and the surfaces.
"""
