"""
Credentials, by name: where each is found is in the configuration, and what it is stands nowhere else.

``[credentials.NAME]`` has one of ``file`` (which only its owner may read), ``env`` (a variable) and
``keyring`` (``SERVICE/USER``, if the package `keyring` is there). A value is read anew each time: whoever
renews a token (an agent, a person) writes it to the same place.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

from esap_wf.config import Config
from esap_wf.errors import Problem, UnavailableError, UsageError
from esap_wf.formats.schemas import closest

#: Seconds before its end from which on a token isn't used any more.
SPARE = 10.0
_MOST = 100_000


class CredentialError(UnavailableError):
    """A credential is missing, or has expired: somebody must act, and then it goes on."""

    code = "credential"

    def __init__(self, name: str, what: str, hint: str) -> None:
        self.name = name
        super().__init__(f"the credential {name} {what}", [Problem(f"credentials.{name}", what, hint)])


@dataclass(frozen=True)
class Credential:
    """
    A value that is nobody else's business.

    Parameters
    ----------
    name : str
    value : str
    expires : float, optional
        Seconds since 1970, if it says so itself.
    """

    name: str
    value: str = field(repr=False)
    expires: float | None = None


def find(config: Config, name: str) -> Credential:
    """
    A credential as it is now.

    Raises
    ------
    UsageError
        The configuration has none of this name, or says nothing of where it is.
    CredentialError
        It isn't there, can be read by others, or has expired.
    """
    table = config.credentials.get(name)
    if table is None:
        hint = closest(name, config.credentials) or f"{config.source}: [credentials.{name}]"
        problem = Problem(f"credentials.{name}", "the configuration has no such credential", hint)
        raise UsageError("a credential can't be found", [problem])
    value = _read(config, name, table).strip()
    if not value:
        raise CredentialError(name, "is empty", "put it there")
    if not value.isprintable() or " " in value:
        raise CredentialError(name, "is no token: it has spaces or control characters", "put one there")
    expires = expiry(value)
    if expires is not None and expires - SPARE <= time.time():
        when = time.strftime(" at %Y-%m-%d %H:%M:%S UTC", time.gmtime(expires)) if expires > 0 else ""
        raise CredentialError(name, f"has expired{when}", "renew it: what waits for it goes on by itself")
    return Credential(name, value, expires)


def _read(config: Config, name: str, table: dict[str, str]) -> str:
    where = {key: table[key] for key in ("file", "env", "keyring") if key in table}
    if len(where) != 1:
        problem = Problem(f"{config.source}: credentials.{name}", "has one of file, env and keyring")
        raise UsageError("a credential can't be found", [problem])
    (kind, text), *_ = where.items()
    if kind == "env":
        if text not in os.environ:
            raise CredentialError(name, f"is not in the variable {text}", f"set {text}, and resume the run")
        return os.environ[text]
    if kind == "keyring":
        return _of_keyring(name, text)
    return _of_file(name, (config.source.parent / Path(text).expanduser()).absolute())


def _of_file(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if about.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise CredentialError(name, f"is in {path}, which others can read", f"chmod 600 {path}")
            return file.read(_MOST).decode("utf-8", "replace")
    except OSError as error:
        what = f"can't be read from {path}: {error.strerror or error}"
        raise CredentialError(name, what, "put it there") from None


def _of_keyring(name: str, text: str) -> str:
    service, _, user = text.partition("/")
    try:
        import keyring  # type: ignore[import-not-found]
    except ImportError:
        raise CredentialError(name, "is in a keyring", "pip install keyring, or name a file") from None
    try:
        found = keyring.get_password(service, user)
    except Exception as error:
        what = f"can't be read from the keyring: {type(error).__name__}"
        raise CredentialError(name, what, "unlock it, or name a file") from None
    if found is None:
        raise CredentialError(name, f"is not in the keyring as {text}", f"keyring set {service} {user}")
    return str(found)


def expiry(token: str) -> float | None:
    """When a token ends, by its own word (RFC 7519, 4.1.4), which nobody verifies; None if it doesn't say."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(claims["exp"])
    except (binascii.Error, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
