"""
An engine at a place elsewhere that comes from a container image: which runtime starts it there, and the
program of its name by which it is called.

Its steps work in the same container.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from esap_wf.backends.places import Place
from esap_wf.engines import EngineBase, Rendered
from esap_wf.engines.elsewhere import TELLING
from esap_wf.errors import EsapError, Problem, RefusedError
from esap_wf.models.plan import ContainerChoice, EngineChoice
from esap_wf.software import containers
from esap_wf.software.containers.image import ARCHIVE, FOLDER, NAME, ROOTFS, SIF, Image, standing_for

#: Folder of the run directory that goes before the PATH.
FOLDER_OF_PROGRAMS = "engine-programs"
#: Those whose processes are children of who calls them, so that a place finds them: what each of them starts.
RUNTIMES = {"apptainer": (SIF, ROOTFS), "podman": (NAME, ROOTFS)}
#: The network is the machine's, as it is for an engine that is no container's; Apptainer has no other.
_OPTIONS = {"podman": ["--network=host"]}
_FORMS = {SIF: "a SIF", ROOTFS: "a folder", NAME: "the name of an image"}

#: An image isn't looked into: who names it says that it has what its engine needs.
_PROGRAMS = sorted(TELLING - {"nodejs"})
#: What is known only there stands in the words of a runtime for what the script puts in its place.
_HERE, _START, _SCRATCH = Path("/esap-wf=here"), Path("/esap-wf=start"), Path("/esap-wf=scratch")
_USER, _VARIABLE = 2_000_000_001, "ESAP_WF_VARIABLE"
#: Of the machine, not of the run.
_KEPT_OUT = (
    "PATH | HOME | HOSTNAME | PWD | OLDPWD | SHLVL | _ | TMPDIR | USER | LOGNAME | SHELL | LD_* | APPTAINER* "
    "| SINGULARITY* | CONTAINERS_*"
)
_HEAD = """\
#!/usr/bin/env bash
# {title}
set -euo pipefail
here=$(cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")/.." && pwd)
case $here in
*[:,\\"\\'\\\\[:cntrl:]]*) echo "$here can't be mounted into a container" >&2; exit 126 ;;
esac
case $PWD/ in
"$here"/*) start=$PWD ;;
*) start=$here ;;
esac
scratch=${{TMPDIR:-/tmp}}
case $here in
/tmp/*) scratch=/tmp ;;
esac
"""
_CHECK = """\
sum=$(sha256sum < {path}) || exit 126
if [ "${{sum%% *}}" != {digest} ]; then
    echo {path}": its SHA-256 is ${{sum%% *}}, and the profile says "{digest} >&2
    exit 126
fi
"""
_USERS = """\
user=("--user=$(id -u):$(id -g)")
if [ "$(id -u)" != 0 ]; then user+=(--userns=keep-id); fi
"""


def choice(engine: EngineBase, image: str, version: str, place: Place) -> EngineChoice:
    """
    An engine in an image that the profile of a place names.

    Raises
    ------
    RefusedError
        It can't be started there, for all reasons.
    """
    where = f"profile of {place.name}: engines.{engine.name}"
    problems = []
    if engine.program in ("", "bash"):
        what = "has no program of its own that an image could hold"
        problems.append(Problem(f"{where}.image", f"{engine.title} {what}", "name a path"))
    if not version:
        what, hint = "which version the image has is not known", f"say it: engines.{engine.name}.version"
        problems.append(Problem(f"{where}.version", what, hint))
    container, reasons = _container(image, place, f"{where}.image")
    if problems or container is None:
        raise RefusedError(f"{engine.title} can't be used there", [*problems, *reasons])
    return EngineChoice(
        name=engine.name,
        path=engine.program,
        version=version,
        found=f"image {image} of {place.name}'s profile",
        place=place.name,
        programs=_PROGRAMS,
        container=container,
    )


def _container(text: str, place: Place, where: str) -> tuple[ContainerChoice | None, list[Problem]]:
    """What starts an image there, or why nothing does."""
    allowed = place.profile.containers
    there = standing_for(text, allowed.map if allowed else {}) or text
    try:
        named, standing = containers.parse(text), containers.parse(there)
    except EsapError as error:
        return None, [Problem(where, str(p)) for p in error.problems]
    problems = []
    if standing.form == ARCHIVE:
        hint = "containers.map names a SIF, a folder, or what Podman has there"
        problems.append(Problem(where, f"{there} is an archive, and nothing is loaded there", hint))
    elif standing.form != NAME and not there.removeprefix("sif:").removeprefix("rootfs:").startswith("/"):
        problems.append(Problem(where, f"{there} is no absolute path"))
    digest = standing.digest or named.digest
    if digest is None:
        hint = (
            "name@sha256:…; or say the checksum of the SIF that stands for it there: containers.map names "
            "/PATH.sif@sha256:…"
        )
        problems.append(Problem(where, f"{text} has no digest", hint))
    form = ROOTFS if standing.form == FOLDER else standing.form
    runtime, program, reasons = _runtime(form, place)
    if not runtime and not (problems and standing.form == ARCHIVE):
        problems.append(Problem(where, f"nothing starts {there} at {place.name}: {'; '.join(reasons)}"))
    if problems:
        return None, problems
    return ContainerChoice(
        image=text,
        reference=_reference(standing),
        form=form,
        digest=digest,
        runtime=runtime,
        program=program,
        options=_OPTIONS.get(runtime, []),
    ), []


def _runtime(form: str, place: Place) -> tuple[str, str, list[str]]:
    """The first runtime that is there, allowed, and can start a form; or why each of them can't."""
    profile, there = place.profile, place.survey.runtimes if place.survey else {}
    allowed = profile.containers.runtimes if profile.containers else []
    reasons = [f"{name} is not there" for name in allowed if name not in there]
    for name, found in there.items():
        if allowed and name not in allowed:
            reasons.append(f"{name} is not allowed by the profile")
        elif name not in RUNTIMES:
            reasons.append(f"what {name} starts can't be found by who must end it")
        elif form not in RUNTIMES[name]:
            wanted = " or ".join(_FORMS[f] for f in RUNTIMES[name])
            reasons.append(f"{name} needs {wanted}: containers.map says what stands for an image")
        else:
            return name, found.path, []
    return "", "", reasons or [f"there is no {' or '.join(RUNTIMES)}"]


def _reference(standing: Image) -> str:
    return standing.full_name if standing.form == NAME else str(standing.path)


def started(rendered: Rendered, choice: EngineChoice, shared: Sequence[str]) -> Rendered:
    """
    What an engine has rendered, with the program that starts it in its image.

    Parameters
    ----------
    rendered : Rendered
    choice : EngineChoice
        With a container.
    shared : sequence of str
        Folders of the place that are seen in the container, too: inputs lie there.
    """
    assert choice.container is not None
    name = f"{FOLDER_OF_PROGRAMS}/{choice.path}"
    files = {**rendered.files, name: script(choice.path, choice.container, shared)}
    return replace(rendered, files=files, bin_dirs=(FOLDER_OF_PROGRAMS, *rendered.bin_dirs))


def script(program: str, choice: ContainerChoice, shared: Sequence[str]) -> bytes:
    """
    A program that is another one in a container: in the run directory in which it stands, with the variables
    of who calls it. It replaces itself by the runtime, which hands on signals and the exit code.
    """
    task = containers.Task(
        [program],
        _HERE,
        read_only=[Path(folder) for folder in shared],
        environment={_VARIABLE: ""},
        uid=_USER,
        gid=_USER,
        scratch=_SCRATCH,
        start=_START,
    )
    command = containers.command(choice, task)
    lines = [_HEAD.format(title=f"{program} in {choice.image}, by {choice.runtime}")]
    if digest := _checksum(choice):
        lines.append(_CHECK.format(path=shlex.quote(choice.reference), digest=digest))
    user = f"--user={_USER}:{_USER}"
    if user in command.argv:
        lines.append(_USERS)
    lines += _variables(command.environment)
    known = {user: '"${user[@]}"', f"--env={_VARIABLE}=": '"${variables[@]}"'}
    words = " ".join(known.get(word) or _word(word) for word in command.argv)
    return "".join([*lines, f'exec {words} "$@"\n']).encode()


def _checksum(choice: ContainerChoice) -> str:
    """The SHA-256 of a SIF, if its digest is that of the file and not of what it was made of."""
    named = containers.parse(choice.image)
    if choice.form != SIF or choice.digest is None or (named.form == NAME and named.digest == choice.digest):
        return ""
    return choice.digest.removeprefix("sha256:")


def _variables(environment: Mapping[str, str]) -> list[str]:
    """How the variables reach the container: under another name, or by options."""
    renamed = next((n.removesuffix(_VARIABLE) for n in environment if n.endswith(_VARIABLE)), None)
    passed = 'variables+=("--env=$name")' if renamed is None else f'export "{renamed}$name=${{!name}}"'
    exports = [f"export {n}={shlex.quote(v)}\n" for n, v in environment.items() if not n.endswith(_VARIABLE)]
    lines = ["variables=()\n", "for name in $(compgen -e); do\n", '    case "$name" in\n']
    lines += [f"    {_KEPT_OUT}) ;;\n", f"    *) {passed} ;;\n", "    esac\n", "done\n"]
    return [*lines, *exports]


def _word(word: str) -> str:
    """A word for bash, with what is known only there."""
    for mark, variable in ((_HERE, '"$here"'), (_START, '"$start"'), (_SCRATCH, '"$scratch"')):
        if str(mark) in word:
            return variable.join(shlex.quote(p) if p else "" for p in word.split(str(mark)))
    return shlex.quote(word)
