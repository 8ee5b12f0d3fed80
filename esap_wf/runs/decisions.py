"""
What is decided about runs, for the log. Light verbs import the modules that call this, and decide nothing:
`logging` is loaded when there is something to say.
"""

from __future__ import annotations


def log(module: str, text: str, *values: object) -> None:
    """
    Log a decision and its reason.

    Parameters
    ----------
    module : str
        ``__name__`` of who decides.
    text : str
        With ``%s`` for each of the values.
    values
    """
    import logging

    logging.getLogger(module).info(text, *values)
