"""Which files of a repository are a workflow's code, and their digest.

Imported by the catalogue, engines and what renders.
"""
