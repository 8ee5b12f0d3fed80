"""The verb software: what a workflow's steps need is built once, and tried."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esap_wf.cli.output import Answer, completes
from esap_wf.cli.setup import group
from esap_wf.errors import ExitCode

if TYPE_CHECKING:
    from esap_wf.config import Config
    from esap_wf.models.plan import ContainerChoice

software = group("software", "Build and check the software of workflows.")
#: What engines start each step with; Python is only told, since a step may need none.
NEEDED = "bash"
_LOOKED_FOR = (NEEDED, "python3")


@software.command("build", examples=["esap-wf software build irf", "esap-wf software build containers/noop"])
@click.argument("workflow", shell_complete=completes("workflow"))
@click.pass_obj
def software_build(answer: Answer, workflow: str) -> None:
    """
    Make a workflow's software ready: build environments from pinned requirements, and get its containers. A
    second call has nothing to do.

    WORKFLOW may also be a folder with image.yaml and build.sh, from which an image archive is built.
    """
    if (Path(workflow) / "image.yaml").is_file():
        return _build_image(answer, Path(workflow))
    from esap_wf.catalogue import workflows
    from esap_wf.planning import routes
    from esap_wf.software import containers, environments

    config = answer.config()
    found = workflows.find(config, workflow)
    built = []
    for requirements in dict.fromkeys(routes.requirements_of(found)):
        answer.say(f"building the environment of {workflow} from {requirements.name} …")
        built.append(str(environments.build(requirements, config.cache)))
    images = []
    for route, choice, why in routes.alternatives(found, config):
        if choice and choice.container:
            if not choice.ready:
                answer.say(f"making {choice.container.image} ready for {choice.container.runtime} …")
            containers.prepare(choice.container, config.cache)
            images.append(
                {
                    "image": choice.container.image,
                    "runtime": choice.container.runtime,
                    "reference": choice.container.reference,
                }
            )
        elif route.startswith("container "):
            for reason in why:
                answer.say(f"not {reason}")
    lines = [*built, *(f"{i['image']}: {i['reference']} for {i['runtime']}" for i in images)]
    answer.give(
        {"workflow": workflow, "environments": built, "images": images},
        "\n".join(lines) or f"{workflow} needs no environment",
    )


def _build_image(answer: Answer, path: Path) -> None:
    from esap_wf.software.containers import archive, folder

    image = folder.read_folder(path.absolute())
    answer.say(f"building {image.image.full_name} …")
    built = folder.build(image, answer.config().cache)
    digest = archive.read_archive(built).digest
    answer.give(
        {"image": image.image.full_name, "archive": str(built), "digest": digest},
        f"{image.image.full_name} ({digest}): {built}",
    )


@software.command("check", examples=["esap-wf software check irf"])
@click.argument("workflow", shell_complete=completes("workflow"))
@click.pass_obj
def software_check(answer: Answer, workflow: str) -> int:
    """Show which ways of getting the software work here, which one is used, and what containers lack."""
    from esap_wf.catalogue import workflows
    from esap_wf.planning import routes

    config = answer.config()
    found = workflows.find(config, workflow)
    rows: list[dict[str, Any]] = []
    lines = []
    for route, choice, why in routes.alternatives(found, config):
        row: dict[str, Any] = {
            "route": route,
            "works": choice is not None,
            "detail": choice.detail if choice else "",
            "reasons": why,
        }
        notes = list(why)
        if choice and choice.container:
            missing = _look_inside(choice.container, config) if choice.ready else None
            row["has"] = None if missing is None else {c: c not in missing for c in _LOOKED_FOR}
            if missing is None:
                notes.append(
                    f"its contents can be checked once it is ready: esap-wf software build {workflow}"
                )
            else:
                notes += [
                    f"the image has no {c}{'' if c == NEEDED else ', which Python scripts need'} ({m})"
                    for c, m in missing.items()
                ]
                if NEEDED in missing:
                    row["works"] = False
                    notes.append(
                        f"engines start each step with {NEEDED}: take another image, or add {NEEDED} to "
                        "this one"
                    )
        rows.append(row)
        lines += [
            f"{'ok ' if row['works'] else 'no '} {route}" + (f": {row['detail']}" if row["detail"] else ""),
            *(f"     {n}" for n in notes),
        ]
    choice = routes.choose(found, config)
    lines.insert(0, f"{choice.route}: {choice.detail}")
    answer.give({"workflow": workflow, "software": choice, "alternatives": rows}, "\n".join(lines))
    used = next(r for r in rows if r["detail"] == choice.detail)
    return ExitCode.DONE if used["works"] else ExitCode.UNAVAILABLE


def _look_inside(choice: ContainerChoice, config: Config) -> dict[str, str]:
    from esap_wf.software import containers

    return containers.lacks(choice, _LOOKED_FOR, config.cache)
