"""Chains: runs whose inputs are results of others, one after the other, each an ordinary run."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from esap_wf import files, flow
from esap_wf.catalogue import workflows
from esap_wf.catalogue.manifests import is_path
from esap_wf.catalogue.workflow import Workflow
from esap_wf.config import Config
from esap_wf.errors import NotFoundError, Problem, UsageError
from esap_wf.flow import IfExists, Started
from esap_wf.formats import digests, documents, schemas
from esap_wf.formats.documents import Document
from esap_wf.models.chain import LINK, Chain, Link, Links
from esap_wf.models.plan import Plan
from esap_wf.models.request import RUN, Request, absolute
from esap_wf.models.run import Phase, State, encode
from esap_wf.planning import duplicates, making
from esap_wf.request.assembly import Asked, Assembled, assemble
from esap_wf.running import control
from esap_wf.runs import states
from esap_wf.runs.store import Run, Store


@dataclass(frozen=True)
class Read:
    """
    A chain, and where it stands.

    Parameters
    ----------
    chain : Chain
    document : Document
    folder : Path
        From which its relative paths are meant.
    order : tuple of str
        Names of its links, each after those that it needs.
    """

    chain: Chain
    document: Document
    folder: Path
    order: tuple[str, ...]

    @property
    def id(self) -> str:
        """The same for the same chain in the same file."""
        place = self.folder / Path(str(self.document.source)).name
        return digests.of_data([str(place), sorted(self.chain.links)])[:16]


@dataclass(frozen=True)
class Done:
    """A link and its run; `reused`: it was there before."""

    name: str
    run: Run
    workflow: str
    state: State
    reused: bool


def read(path: Path) -> Read:
    """
    A chain from a YAML or JSON file.

    Raises
    ------
    UsageError
        It is none, names a link that isn't there, or goes round in a circle.
    """
    document = documents.load(path)
    chain = schemas.convert(document, Chain, "chain")
    problems = []
    if not chain.links:
        problems.append(Problem(document.where(["links"]), "a chain has at least one link"))
    for name, request in chain.links.items():
        for key, texts in request.inputs.items():
            for text in filter(_is_link, texts):
                other, output = _parts(text)
                where = document.where(["links", name, "inputs", key])
                if not output:
                    problems.append(Problem(where, f"{text!r} names no output", "write link:NAME/OUTPUT"))
                elif other not in chain.links:
                    hint = schemas.closest(other, chain.links) or f"there are {', '.join(chain.links)}"
                    problems.append(Problem(where, f"there is no link {other!r}", hint))
    if problems:
        raise UsageError("the chain is not valid", problems)
    graph = {name: set(_needs(request)) for name, request in chain.links.items()}
    try:
        order = tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        problem = Problem(document.where(["links"]), f"it goes round in a circle: {circle}")
        raise UsageError("the chain is not valid", [problem]) from None
    return Read(chain, document, path.absolute().parent, order)


def _is_link(text: str) -> bool:
    return text.startswith(LINK)


def _parts(text: str) -> tuple[str, str]:
    """The link and the output, with what is in it, of ``link:NAME/OUTPUT``."""
    name, _, output = text.removeprefix(LINK).partition("/")
    return name, output


def needs(read: Read, name: str) -> set[str]:
    """The links whose results a link is given."""
    return set(_needs(read.chain.links[name]))


def _needs(request: Request) -> Iterator[str]:
    for texts in request.inputs.values():
        yield from (_parts(text)[0] for text in texts if _is_link(text))


# --- planning


def check(read: Read, config: Config) -> dict[str, Workflow]:
    """
    Look at all links before the first one is started.

    Returns
    -------
    dict
        Name → workflow.

    Raises
    ------
    UsageError
        Everything that is known to be wrong already.
    """
    found: dict[str, Workflow] = {}
    problems: list[Problem] = []
    for name in read.order:
        try:
            found[name] = _workflow(read, name, config)
        except (UsageError, NotFoundError) as error:
            told = [_of_link(name, p) for p in error.problems]
            problems += told or [Problem(f"link {name}", error.message)]
    for name in read.order:
        if name in found:
            problems += [_of_link(name, p) for p in _wrong(read, name, found, config)]
    if problems:
        raise UsageError("the chain is not valid", problems)
    return found


def _of_link(name: str, problem: Problem) -> Problem:
    return Problem(f"link {name}: {problem.where}", problem.what, problem.hint)


def _workflow(read: Read, name: str, config: Config) -> Workflow:
    text = read.chain.links[name].workflow
    return workflows.find(config, absolute(text, read.folder) if is_path(text) else text)


def _wrong(read: Read, name: str, found: Mapping[str, Workflow], config: Config) -> list[Problem]:
    """What is wrong with a link, as far as it doesn't depend on results that aren't there."""
    request, workflow = read.chain.links[name], found[name]
    linked = {key for key, texts in request.inputs.items() if any(map(_is_link, texts))}
    problems = []
    for key in linked:
        for text in filter(_is_link, request.inputs[key]):
            other, output = _parts(text)
            if other in found and (why := _unfit(found[other], output, workflow, key)):
                problems.append(Problem(f"input {key}={text}", *why))
    try:
        assembled = _assembled(read, name, workflow, config, {})
    except UsageError as error:
        return [*problems, *error.problems]
    # what comes from other links is not there yet
    return [*problems, *(p for p in assembled.problems if p.where not in {f"input {key}" for key in linked})]


def _unfit(giver: Workflow, output: str, taker: Workflow, key: str) -> tuple[str, str] | None:
    """Why an output can't be an input."""
    name, _, inner = output.partition("/")
    outputs = {one.name: one for one in giver.manifest.outputs}
    if outputs and name not in outputs:
        hint = schemas.closest(name, outputs) or f"it has {', '.join(outputs)}"
        return f"{giver.manifest.name} has no output {name!r}", hint
    spec = taker.manifest.inputs.get(key)
    path = inner or (outputs[name].path if name in outputs else "")
    endings = spec.extensions if spec and PurePosixPath(path).suffix and "*" not in path else []
    if spec and endings and not path.endswith(tuple(endings)):
        return f"{path} is no {spec.title}", f"its name must end with {' or '.join(endings)}"
    return None


def _assembled(
    read: Read, name: str, workflow: Workflow, config: Config, runs: Mapping[str, str]
) -> Assembled:
    """The request of a link, with results of runs in place of those of links that have one."""
    request = read.chain.links[name]
    inputs = {}
    for key, texts in request.inputs.items():
        placed = [_placed(text, runs) if _is_link(text) else text for text in texts]
        if given := [text for text in placed if text]:
            inputs[key] = given
    asked = Asked(
        request=msgspec.structs.replace(request, inputs=inputs),
        folder=read.folder,
        document=read.document,
        pointer=("links", name, "parameters"),
    )
    return assemble(asked, workflow, config)


def _placed(text: str, runs: Mapping[str, str]) -> str:
    other, output = _parts(text)
    return f"{RUN}{runs[other]}/{output}" if other in runs else ""


def plans(read: Read, config: Config) -> Iterator[tuple[str, Workflow, Plan | None, Run | None]]:
    """
    What would become of each link: its plan, as far as what it needs is there, and its run if that is
    COMPLETED.
    """
    found, runs = check(read, config), dict[str, str]()
    for name in read.order:
        if needs(read, name) - runs.keys():
            yield name, found[name], None, None
            continue
        plan = _plan(read, name, found[name], config, runs)
        run = _former(read, name, plan, config)
        if run is not None:
            runs[name] = run.id
        yield name, found[name], plan, run


def _plan(read: Read, name: str, workflow: Workflow, config: Config, runs: Mapping[str, str]) -> Plan:
    assembled = _assembled(read, name, workflow, config, runs)
    if assembled.problems:
        raise UsageError("the chain is not valid", [_of_link(name, p) for p in assembled.problems])
    tags = [*assembled.request.tags, f"chain:{read.id}"]
    request = msgspec.structs.replace(assembled.request, tags=list(dict.fromkeys(tags)))
    return making.make(request, config, assembled.valid)


# --- running


def run(
    read: Read,
    config: Config,
    follow: Callable[[str, Started], State],
    if_exists: IfExists = IfExists.REUSE,
) -> Iterator[Done]:
    """
    Run what is not done yet, link after link; ends after one that isn't COMPLETED. Called again, it goes on
    there.

    Parameters
    ----------
    read : Read
    config : Config
    follow : callable
        Waits for the end of a link's run.
    if_exists : IfExists
        With `RERUN` every link is run again.
    """
    found, runs = check(read, config), dict[str, str]()
    for name in read.order:
        plan = _plan(read, name, found[name], config, runs)
        started = _started(read, name, plan, config, if_exists)
        _keep(read, name, plan, started.run)
        state = started.run.observe() if started.reused else follow(name, started)
        runs[name] = started.run.id
        yield Done(name, started.run, plan.workflow, state, started.reused)
        if state.phase is not Phase.COMPLETED:
            return


def _started(read: Read, name: str, plan: Plan, config: Config, if_exists: IfExists) -> Started:
    """The run of a link: the one that it had, as far as that is of use, or another one."""
    if if_exists is not IfExists.RERUN and (former := _of_link_before(read, name, plan, config)):
        phase = former.observe().phase
        if phase is Phase.COMPLETED:
            return Started(former, reused=True)
        # of others the identity says that they are the same
        if not plan.digest.deterministic and phase in states.ACTIVE:
            return Started(former, attached=True)
        if not plan.digest.deterministic and phase in states.RESUMABLE:
            control.resume(former)
            return Started(former, attached=True, resumed=True)
    return flow.start(plan, config, if_exists)


def _former(read: Read, name: str, plan: Plan, config: Config) -> Run | None:
    """A COMPLETED run that does for a link."""
    former = _of_link_before(read, name, plan, config)
    if former is None and plan.digest.deterministic:
        same = [d for d in duplicates.find(plan, config) if d.level == "request"]
        former = Store.open(config.store).run(same[0].run) if same else None
    return former if former and former.observe().phase is Phase.COMPLETED else None


def _of_link_before(read: Read, name: str, plan: Plan, config: Config) -> Run | None:
    """The run that a link had, if it was asked for the same and is still there."""
    link = _links(read, config.store).links.get(name)
    if link is None or link.asked != _asked(read, name, plan):
        return None
    try:
        found = Store.open(config.store).run(link.run)
        found.record()
    except NotFoundError:
        return None
    return found


def _asked(read: Read, name: str, plan: Plan) -> str:
    """What decides a link's results, but for a seed that is drawn."""
    if plan.digest.deterministic:
        return plan.digest.identity
    inputs = {key: [ref.checksum for ref in refs] for key, refs in plan.inputs.items()}
    request = read.chain.links[name]
    return digests.of_data([plan.code, msgspec.to_builtins(request.parameters), inputs, request.engine])


def _place(read: Read, store: Path) -> Path:
    return store / "chains" / f"{read.id}.json"


def _links(read: Read, store: Path) -> Links:
    try:
        return files.read_json(_place(read, store), Links)
    except NotFoundError:
        return Links()


def _keep(read: Read, name: str, plan: Plan, run: Run) -> None:
    store = run.store.root
    link = Link(run=run.id, asked=_asked(read, name, plan))
    path = _place(read, store)
    path.parent.mkdir(exist_ok=True)
    known = _links(read, store).links
    files.write_atomic(path, encode(Links(links={**known, name: link})), mode=run.store.file_mode)
