"""Workflows: those with a manifest, those that an engine derives from somebody's folder or repository, and
records of both.

Imported by all that decides about a run or carries it out; imports the engines, because they derive.
"""
