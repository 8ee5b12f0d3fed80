"""Which folder is snapshotted for a pipeline: its own, or the repository in which it stands."""

from __future__ import annotations

import os
from pathlib import Path

from esap_wf.code import mentions, repositories, selection
from esap_wf.code.mentions import text_of


def root_of(path: Path, own: Path, sure: bool = False) -> tuple[Path, list[str]]:
    """
    The folder that is snapshotted for a pipeline, and warnings about that.

    It is the repository, but not if nothing in the pipeline's own folder can reach above it: of a repository
    with many pipelines an edit of one must not change the others.

    Parameters
    ----------
    path : Path
        Its file.
    own : Path
        Its own folder: that in which it is at work, and all that it is known to use.
    sure : bool
        It is known to use more.

    Raises
    ------
    UsageError
        The repository is too large.
    """
    top = repositories.top_of(path)
    if top is None or top == own or not own.is_relative_to(top):
        return own, []
    inside = repositories.look(own)
    reaching = path if sure else next((own / n for n in sorted(inside.names) if _reaches(own, n)), None)
    if reaching is None:
        return own, []
    seen = repositories.look(top)
    size = sum(os.lstat(top / n).st_size for n in seen.names)
    if seen.many or len(seen.names) > selection.MAX_FILES or size > selection.MAX_BYTES:
        holds = f"{len(seen.names)} files{' and more' if seen.many else ''} of {size // 1_000_000} MB"
        raise selection.too_large(top, f"holds {holds}, and {reaching} may read anything in it")
    return top, []


def _reaches(own: Path, name: str) -> bool:
    """Whether a file of a folder may lead out of it."""
    path = own / name
    if path.is_symlink():
        return not Path(os.path.normpath(path.parent / path.readlink())).is_relative_to(own)
    return not mentions.is_for_people(name) and mentions.reaches_above(text_of(path))
