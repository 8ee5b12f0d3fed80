"""The verb init."""

from __future__ import annotations

from pathlib import Path

import click

from esap_wf.cli.output import Answer, Verb, completes


@click.command(
    "init",
    cls=Verb,
    examples=[
        "esap-wf init ./pipeline",
        "esap-wf init https://example.org/group/pipeline.git@v2.1 --into my-wrappers/pipeline",
    ],
)
@click.argument("path", shell_complete=completes("workflow"))
@click.option(
    "--into",
    metavar="DIR",
    shell_complete=completes("folder"),
    help="Folder for the manifest, which then wraps the pipeline. [default: the pipeline's own]",
)
@click.pass_obj
def init(answer: Answer, path: str, into: str | None) -> None:
    """
    Write a manifest for a pipeline that has none, from what the pipeline says about itself, for you to edit.
    """
    from esap_wf.authoring import drafting
    from esap_wf.catalogue import addresses, workflows
    from esap_wf.errors import Problem, UsageError
    from esap_wf.models.manifest import Upstream

    workflow = workflows.find(answer.config(), path)
    upstream = None
    folder = Path(into).expanduser().absolute() if into else None
    if addresses.is_url(workflow.reference):
        reference = addresses.parse(workflow.reference)
        upstream = Upstream(url=reference.url, ref=reference.ref)
        folder = folder or Path(workflow.manifest.name).absolute()
    elif folder:
        what = "a manifest in another folder must name its pipeline by a URL"
        raise UsageError(
            "the pipeline is not in a repository",
            [Problem("--into", what, "commit the pipeline, and give file:///path/of/the/repository")],
        )
    written = drafting.make(workflow, folder, upstream)
    name = workflow.manifest.name
    data = {"workflow": name, "files": [str(p) for p in written], "notes": list(workflow.notes)}
    text = "\n".join(
        [
            f"{name}: {', '.join(p.name for p in written)} in {written[0].parent}",
            *(f"note: {n}" for n in workflow.notes),
            f"look at it: esap-wf show {written[0]}; check it: esap-wf lint {written[0]}",
        ]
    )
    answer.give(data, text)
