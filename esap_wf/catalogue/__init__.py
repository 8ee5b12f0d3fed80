"""Workflows: those with a manifest, those that an engine derives from somebody's folder or repository, and
records of both.
"""
