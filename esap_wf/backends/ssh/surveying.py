"""What a host says of itself."""

from __future__ import annotations

import os

from esap_wf.backends import hosts
from esap_wf.backends.ssh import failures, settings
from esap_wf.backends.ssh.answer import Answer
from esap_wf.backends.ssh.far import Far
from esap_wf.backends.ssh.settings import Address
from esap_wf.models.place import Profile, Survey
from esap_wf.models.run import now


def survey(profile: Profile) -> Survey:
    """
    Ask a host, with one question.

    Raises
    ------
    OutageError, NeedsPersonError
    """
    own = settings.of(profile)
    far = Far(Address.of(profile), own.folder)
    nonce = os.urandom(8).hex()
    lines = far.ask_script(hosts.script(profile, own.folder, nonce), Answer.lines, nonce)
    said = hosts.Said.of(lines)
    if said.cores is None:
        hint = f"look there by hand: {far.address.by_hand}"
        raise failures.for_person(far.address, "it does not say what it has", hint, "\n".join(lines[-3:]))
    return Survey(
        asked=now(),
        cores=said.cores,
        memory_bytes=said.memory_bytes,
        disk_bytes=said.disk_bytes,
        free_cores=said.free_cores,
        programs=said.programs,
        engines=said.engines,
        python=said.python,
        runtimes=said.runtimes,
        system=said.system,
    )
