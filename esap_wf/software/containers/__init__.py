"""Containers: forms of images, runtimes, the choice of one, and a command in it (docs/containers.md).

Not part of the light verbs.
"""

from esap_wf.software.containers.choosing import (
    RUNTIMES,
    Chosen,
    Settings,
    choose,
    command,
    end,
    is_ready,
    lacks,
    prepare,
    resolve,
    settings,
    survey,
)
from esap_wf.software.containers.image import Image, parse
from esap_wf.software.containers.runtime import Command, Found, Runtime, Source, Task

__all__ = [
    "RUNTIMES",
    "Chosen",
    "Command",
    "Found",
    "Image",
    "Runtime",
    "Settings",
    "Source",
    "Task",
    "choose",
    "command",
    "end",
    "is_ready",
    "lacks",
    "parse",
    "prepare",
    "resolve",
    "settings",
    "survey",
]
