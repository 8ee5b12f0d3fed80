"""As sitecustomize.py: no process may import esap_wf; who asks for it, and where this is active, is written into $BLOCKED."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def note(text: str) -> None:
    with Path(os.environ["BLOCKED"]).open("a") as file:
        file.write(text + "\n")


class Block:
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == "esap_wf":
            note(f"asked for {name}")
            raise ImportError("blocked")


sys.meta_path.insert(0, Block())
note(f"active in {sys.argv[0] if hasattr(sys, 'argv') else '?'}")
