"""Containers: forms of images, runtimes, the choice of one, and a command in it (docs/containers.md).

Not part of the light verbs.
"""

from esap_wf.software.containers.choosing import (
    Chosen,
    choose,
    choose_unseen,
    command,
    end,
    is_ready,
    lacks,
    prepare,
    survey,
)
from esap_wf.software.containers.image import Image, parse
from esap_wf.software.containers.resolving import resolve
from esap_wf.software.containers.runtime import Command, Found, Runtime, Source, Task
from esap_wf.software.containers.runtimes import RUNTIMES, Settings, settings

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
    "choose_unseen",
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
