"""For who writes a workflow: a new one, a manifest for one that is there, and all that is wrong with one.

Imported by the surfaces.
"""
