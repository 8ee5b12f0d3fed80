"""What ``ssh`` says when it can't reach a host, as an outage that passes or as something for a person."""

from __future__ import annotations

import re

from esap_wf.backends.launcher import NeedsPersonError, OutageError
from esap_wf.backends.ssh.settings import Address
from esap_wf.errors import EsapError, Problem

#: What ssh prints, what it means, and what a person does about it; the first that is found counts.
_FOR_PEOPLE = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key .* has changed",
        "the host shows another key than before",
        "ask whoever runs it whether its key was changed. If so, remove the old one (ssh-keygen -R HOST) and "
        "accept the new one: {by_hand}",
    ),
    (
        r"Host key verification failed|No \S+ host key is known",
        "the host's key is not known on this machine",
        "compare and accept it once by hand: {by_hand}",
    ),
    (
        r"Too many authentication failures",
        "the host was offered too many keys",
        "name the right one in the ssh configuration (IdentityFile, IdentitiesOnly yes) and try: {by_hand}",
    ),
    (
        r"account (is|has been|was) (locked|disabled|expired)|account has expired|not currently available"
        r"|account is currently not available|password (has|is) expired",
        "the account there can't be used",
        "ask whoever runs the host, then try: {by_hand}",
    ),
    (
        r"Permission denied",
        "the host takes none of this user's keys",
        "try `{by_hand}`: it has to work without a question, by a key, an agent or a ticket (ssh-add, kinit)",
    ),
    (
        r"[Bb]ad (configuration option|owner or permissions)|bad configuration options"
        r"|Can't open user config file|unsupported option|keyword \S+ extra arguments|missing argument",
        "the ssh configuration can't be used",
        "mend it until this works: {by_hand}",
    ),
    (
        r"UNPROTECTED PRIVATE KEY",
        "the private key can be read by others",
        "chmod 600 the key, then try: {by_hand}",
    ),
    (
        r"No space left on device|[Qq]uota exceeded|Disk quota",
        "the disk or the quota there is full",
        "free some space there",
    ),
)
_OUTAGES = (
    (r"Could not resolve hostname|Name or service not known", "its name can't be resolved"),
    (r"Connection refused", "it refuses connections"),
    (r"timed out", "it does not answer in time"),
    (r"No route to host|Network is unreachable", "the network does not lead there"),
    (r"Connection (closed|reset)|Broken pipe|closed by remote host", "it closed the connection"),
    (r"refused by peer|open failed|administratively prohibited", "it takes no more sessions now"),
)


def understood(text: str, address: Address, otherwise: str = "it can't be reached") -> EsapError:
    """
    The error that a text of ``ssh`` stands for.

    Parameters
    ----------
    text : str
        What it has printed.
    address : Address
    otherwise : str
        What is said of a text that means nothing.
    """
    for pattern, what, hint in _FOR_PEOPLE:
        if re.search(pattern, text):
            return for_person(address, what, hint.format(by_hand=address.by_hand), text)
    for pattern, what in _OUTAGES:
        if re.search(pattern, text):
            return outage(address, what, text)
    return outage(address, otherwise, text)


def outage(address: Address, what: str, text: str = "") -> OutageError:
    """The host can't be asked now."""
    return OutageError(f"{address.host}: {what}", _details(address, text))


def for_person(address: Address, what: str, hint: str, text: str = "") -> NeedsPersonError:
    """The host can't be used until somebody acts."""
    details = _details(address, text)
    return NeedsPersonError(
        f"{address.host}: {what}",
        [Problem(address.host, details[0].what if details else what, hint)],
    )


def _details(address: Address, text: str) -> list[Problem]:
    """The last lines of what was printed, without what has no meaning for people."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("@", "Warning: Permanently"))]
    said = " / ".join(dict.fromkeys(lines[-3:]))[:400]
    return [Problem(address.host, f"ssh says: {said}")] if said else []
