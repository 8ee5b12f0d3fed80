"""All that is wrong with a workflow, at once: its manifest, schema, files, example values, and what its
engines say to them.

Nothing is started but engines that were asked to start nothing, in a temporary folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from esap_wf import plugins
from esap_wf.authoring.linting import examples, manifests, outputs, scripts, stages
from esap_wf.authoring.linting.dry_runs import DryRuns, StartedDryRun
from esap_wf.authoring.linting.examples import Example
from esap_wf.authoring.linting.questions import WHOLE, Question
from esap_wf.catalogue import manifests as manifest_files
from esap_wf.catalogue import workflows
from esap_wf.catalogue.workflow import Kind, Workflow
from esap_wf.config import Config
from esap_wf.engines import EngineBase, Outline, programs
from esap_wf.errors import NotFoundError, Problem, UnavailableError, UsageError

#: Which engines are asked for a dry run: every one that is there, the one that a run would take, none.
EVERY, MAIN, NONE = "every", "main", "none"
Collisions = Callable[[Workflow], Iterable[Problem]]


@dataclass
class Linted:
    """
    What was found in one workflow.

    Parameters
    ----------
    path : str
        Its manifest, or what a user called it.
    errors : list of Problem
        What keeps it from working.
    warnings : list of Problem
        What hinders its users, or could not be looked at.
    """

    path: str
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    _dry_runs: list[StartedDryRun] = field(default_factory=list, repr=False)
    _workflow: Workflow | None = field(default=None, repr=False)
    _outlines: dict[str, Outline] = field(default_factory=dict, repr=False)


def lint(
    config: Config, texts: Iterable[str], collisions: Collisions = lambda _: (), engines: str = EVERY
) -> list[Linted]:
    """
    Look at workflows.

    Parameters
    ----------
    config : Config
    texts : iterable of str
        As `esap_wf.catalogue.workflows.find` takes them; of a folder with several manifests each is meant.
    collisions : callable, optional
        What the surface has to say of the names of parameters and inputs.
    engines : str
        `EVERY`, `MAIN` or `NONE`.

    Raises
    ------
    NotFoundError, UsageError, UnavailableError
        Nothing is there under that name.
    """
    with DryRuns() as dry_runs:
        found = [one for text in texts for one in _started(config, text, collisions, engines, dry_runs)]
        for one in found:
            _ended(one, dry_runs)
    for one in found:
        one.errors, one.warnings = (
            list(dict.fromkeys(one.errors)),
            [w for w in dict.fromkeys(one.warnings) if w not in one.errors],
        )
    return found


def _started(
    config: Config, text: str, collisions: Collisions, engines: str, dry_runs: DryRuns
) -> Iterable[Linted]:
    """Everything but the answers of the engines, which are at work meanwhile."""
    for file, workflow, problems in _found(config, text):
        one = Linted(str(file or text), list(problems))
        if workflow is None:
            one.errors += scripts.problems(file.parent) if file else []
            one.warnings.append(
                Problem(
                    one.path,
                    "its files were not checked, because the manifest can't be read",
                    "correct that first",
                )
            )
            yield one
            continue
        one._workflow = workflow
        if file:
            one.errors += manifest_files.misnamed(workflow)
        manifests.look(workflow, one.errors, one.warnings)
        example = examples.of(workflow, config, one.errors, one.warnings)
        _engines(one, workflow, config, example if not problems else None, engines, dry_runs)
        wrong = scripts.of_workflow(workflow)
        (one.errors if workflow.kind is Kind.HOUSE else one.warnings).extend(wrong)
        one.warnings += collisions(workflow)
        one.warnings += [Problem(workflow.reference or one.path, note) for note in workflow.notes]
        yield one


def _found(config: Config, text: str) -> Iterable[tuple[Path | None, Workflow | None, list[Problem]]]:
    """Manifest files with their workflows; no file where there is no manifest."""
    try:
        file, source = manifest_files.locate(config, text)
        if not manifest_files.is_manifest(file):
            yield None, workflows.find(config, text), []
            return
    except NotFoundError as error:
        try:
            workflow = workflows.find(config, text)
        except NotFoundError as other:
            raise (
                other if manifest_files.is_path(text) and Path(text).expanduser().exists() else error
            ) from None
        yield None, workflow, []
        return
    for each in manifest_files.in_folder(file.parent) if Path(text).expanduser().is_dir() else [file]:
        try:
            opened, problems = manifest_files.opened(each, source)
            yield each, opened if problems else workflows.wrapping(config, opened), problems
        except UsageError as error:
            yield each, None, error.problems or [Problem(str(each), error.message)]


def _engines(
    one: Linted, workflow: Workflow, config: Config, example: Example | None, engines: str, dry_runs: DryRuns
) -> None:
    asked: set[tuple[str, str]] = set()
    for number, implementation in enumerate(workflow.manifest.implementations):
        where = workflow.document.where(["implementations", number])
        try:
            engine: EngineBase = plugins.one("esap_wf.engines", implementation.engine)
        except (UsageError, UnavailableError) as error:
            one.errors += [
                Problem(where, p.what, p.hint or "esap-wf engines list shows those that are known")
                for p in error.problems
            ]
            continue
        entry = workflow.home(implementation)[1] / implementation.file
        if not entry.is_file():
            continue  # told already
        outline = engine.outline(entry, implementation.item)
        one._outlines[engine.title] = outline
        one.errors += outline.problems
        one.warnings += outline.warnings if workflow.kind is Kind.HOUSE else []
        if example and example.valid and workflow.kind is Kind.HOUSE:
            one.errors += engine.job_problems(
                entry, implementation.item, example.job(workflow, implementation)
            )
        one.errors += stages.look(workflow, implementation, engine, example)
        if engines == NONE or (engines == MAIN and asked):
            continue
        program = (str(entry), "cwl" if engine.name == "toil" else engine.name)
        if program in asked:
            continue  # Toil reads CWL as cwltool does
        if _asked(one, workflow, number, engine, config, example, dry_runs):
            asked.add(program)
    if engines == NONE:
        one.warnings.append(
            Problem(one.path, "no engine was asked", "--dry-run every asks all that are installed")
        )


def _asked(
    one: Linted,
    workflow: Workflow,
    number: int,
    engine: EngineBase,
    config: Config,
    example: Example | None,
    dry_runs: DryRuns,
) -> bool:
    """Whether an engine was set to a dry run; why not is told."""
    implementation = workflow.manifest.implementations[number]
    where = workflow.document.where(["implementations", number])
    entry = workflow.home(implementation)[1] / implementation.file
    found = programs.first_suitable(
        engine, config, implementation.requires, partial(_objections, engine, entry, implementation.item)
    )
    if found.choice is None and found.objector:
        one.errors += found.objections
        return True
    if found.choice is None:
        why = f"; {'; '.join(found.refused)}" if found.refused else ""
        what = f"{engine.title} is not installed here, so it did not check {implementation.file}{why}"
        one.warnings.append(Problem(where, what, programs.advice(engine, implementation.requires)))
        return False
    if example is None or example.valid is None:
        reasons = example.lacks if example else ["the manifest is not valid"]
        hint = (
            ""
            if example is None
            else "`examples` or a default in the schema, or test/params.yaml (docs/workflows.md)"
        )
        one.warnings.append(
            Problem(where, f"no dry run with {engine.title}: {'; '.join(reasons)}"[:600], hint)
        )
        return False
    whole = Question(workflow, number, engine, found.choice, example.job(workflow, implementation))
    started = [dry_runs.start(question) for question in (whole, *stages.mapped(whole))]
    one._dry_runs += [dry_run for dry_run in started if dry_run]
    return started[0] is not None


def _objections(engine: EngineBase, file: Path, item: str | None, choice: object) -> list[Problem]:
    return engine.objections(choice, file, item)  # type: ignore[arg-type]


def _ended(one: Linted, dry_runs: DryRuns) -> None:
    workflow = one._workflow
    if workflow is None:
        return
    heard = {r.question: dry_runs.end(r) for r in one._dry_runs}
    joins = [
        dry_runs.start(join) for question, answer in heard.items() for join in stages.joined(question, answer)
    ]
    heard |= {r.question: dry_runs.end(r) for r in joins if r}
    for dry_run in heard.values():
        # somebody's pipeline may want data that its users bring
        missing = dry_run.warnings
        (one.errors if workflow.kind is Kind.HOUSE else one.warnings).extend(missing)
        one.errors += dry_run.problems
    one.errors += stages.problems(heard)
    of_whole = {q.engine.title: answer for q, answer in heard.items() if q.stage == WHOLE}
    outputs.look(workflow, one._outlines, of_whole, one.errors, one.warnings)
