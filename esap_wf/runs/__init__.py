"""Runs on disk: the store, who owns a run, what it is doing.

Nothing here knows of workflows or engines.
"""
