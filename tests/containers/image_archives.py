"""Archives of images, as `docker save` writes them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any


def member(tar: tarfile.TarFile, name: str, data: bytes = b"", **more: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data))


def layer(*members: tuple[str, Any]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members:
            member(tar, name, content) if isinstance(content, bytes) else member(tar, name, **content)
    return out.getvalue()


def image(
    path: Path, *layers: bytes, count: int = 1, config: bytes = b'{"config": {"Env": ["A=b"]}}'
) -> Path:
    with tarfile.open(path, "w") as tar:
        names = [f"{n}/layer.tar" for n in range(len(layers))]
        for name, data in zip(names, layers, strict=True):
            member(tar, name, data)
        member(tar, "c.json", config)
        member(
            tar,
            "manifest.json",
            json.dumps([{"Config": "c.json", "Layers": names, "RepoTags": None}] * count).encode(),
        )
    return path
