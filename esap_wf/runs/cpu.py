"""The kind of CPU that a run was started on: sums of floating-point numbers differ in their last digits
between kinds.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
#: What numerical libraries choose their loops by.
MATTERS = re.compile(r"sse4_2|avx\w*|fma|f16c|asimd\w*|sve\w*|vsx|vx\w*")
#: Bytes of the first processor's description.
_HEAD = 16 * 1024


def features(path: Path = CPUINFO) -> str:
    """
    Architecture and the vector instructions of the first processor, in the order of the alphabet: ``x86_64
    avx avx2 fma sse4_2``.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            head = file.read(_HEAD)
    except OSError:
        head = ""
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", head, re.MULTILINE)
    flags = sorted(flag for flag in set(found[1].split()) if MATTERS.fullmatch(flag)) if found else []
    return " ".join([platform.machine(), *flags])
