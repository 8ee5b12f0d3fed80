"""What of a folder or repository a run gets: what the bare engine could read there, and nothing that only lies around."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from helpers.command_line import Done, Place
from helpers.files import write_files
from helpers.repositories import commit

from esap_wf import config as configuration
from esap_wf.catalogue import workflows
from esap_wf.code import contents, selection
from esap_wf.config import Config
from esap_wf.errors import RefusedError, UsageError
from esap_wf.models.manifest import Input
from esap_wf.planning import saved
from esap_wf.request import inputs

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
Inside = Callable[..., Done]

MAIN = 'rule all:\n    input: "results/o.txt"\nrule o:\n    output: "results/o.txt"\n    shell: "cat {text} > {{output}}"\n'


def snakefile(text: str = "data/a.txt") -> str:
    return MAIN.format(text=text)


def of(config: Config, path: Path) -> dict[str, str]:
    """Names in the snapshot of a pipeline, without the place, and where links lead."""
    return {f.name.split("/", 2)[2]: f.link for f in workflows.find(config, str(path)).code_files()}


def digest(config: Config, path: Path) -> str:
    return workflows.find(config, str(path)).code_digest()


# --- the root


def test_a_pipeline_that_reaches_above_its_folder_gets_the_repository(config: Config, tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "r",
        {
            "p/Snakefile": snakefile("../data/a.txt"),
            "data/a.txt": "1\n",
            "other/x": "",
            "q/Snakefile": snakefile(),
        },
    )
    commit(folder)
    assert of(config, folder / "p") == {"p/Snakefile": "", "data/a.txt": "", "other/x": "", "q/Snakefile": ""}
    found = workflows.find(config, str(folder / "p"))
    assert found.manifest.implementations[0].workdir == "p"
    assert found.manifest.name == "p"
    (tmp_path / "short").symlink_to(folder / "p")
    assert of(config, tmp_path / "short") == of(config, folder / "p"), "whichever way one gets there"
    assert of(config, folder / "q") == {"Snakefile": ""}, (
        "what can't leave its folder needs nothing else: edits elsewhere are no edits of it"
    )


def test_a_link_that_leaves_the_folder_reaches_above_it(config: Config, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "r", {"sub/Snakefile": snakefile(), "data/a.txt": "1\n"})
    (folder / "sub/data").symlink_to("../data")
    commit(folder)
    assert of(config, folder / "sub/Snakefile") == {
        "sub/Snakefile": "",
        "sub/data": "../data",
        "data/a.txt": "",
    }


def test_snakemake_is_at_work_where_its_configuration_is(config: Config, tmp_path: Path) -> None:
    text = 'configfile: "config/c.yaml"\n' + snakefile()
    folder = write_files(tmp_path / "r", {"sub/Snakefile": text, "config/c.yaml": "n: 1\n"})
    commit(folder)
    found = workflows.find(config, str(folder / "sub/Snakefile"))
    assert found.manifest.implementations[0].workdir is None
    assert "n" in found.properties
    assert any("top of its repository" in note for note in found.notes)
    write_files(folder, {"sub/config/c.yaml": "m: 1\n"})
    found = workflows.find(config, str(folder / "sub/Snakefile"))
    assert "m" in found.properties and not found.notes, "its own folder comes first"


def test_without_git_the_root_is_the_folder(config: Config, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "r", {"p/Snakefile": snakefile("../data/a.txt"), "data/a.txt": "1\n"})
    assert of(config, folder / "p") == {"Snakefile": ""}


def test_a_home_that_is_a_repository_is_no_repository_of_a_pipeline(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = write_files(tmp_path / "home", {"p/Snakefile": snakefile("../x"), ".profile": "", "letters/x": ""})
    commit(home)
    monkeypatch.setenv("HOME", str(home))
    assert of(config, home / "p") == {"Snakefile": ""}


def test_a_pipeline_in_an_ignored_folder_is_one_without_git(config: Config, tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "r",
        {".gitignore": "tmp/\n", "tmp/p/Snakefile": snakefile("../x"), "tmp/p/data/a.txt": "", "tmp/x": ""},
    )
    commit(folder)
    assert of(config, folder / "tmp/p") == {"Snakefile": "", "data/a.txt": ""}


def test_a_repository_that_is_too_large_is_refused_with_the_ways_out(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_files(
        tmp_path / "r",
        {
            "p/Snakefile": snakefile("../data/0"),
            "q/Snakefile": snakefile(),
            **{f"data/{i}": "" for i in range(9)},
        },
    )
    commit(folder)
    monkeypatch.setattr(selection, "MAX_FILES", 5)
    with pytest.raises(UsageError, match=r"(?s)too large.*p/Snakefile may read.*\.gitignore") as error:
        workflows.find(config, str(folder / "p"))
    assert "11 files" in str(error.value)
    assert of(config, folder / "q") == {"Snakefile": ""}, "what does not reach above is not kept from running"
    monkeypatch.setattr(selection, "MAX_FILES", 500)
    monkeypatch.setattr(selection, "MAX_BYTES", 10)
    with pytest.raises(UsageError, match="MB"):
        workflows.find(config, str(folder / "q")).code_files()


# --- git


def test_what_git_ignores_is_left_out_and_what_is_not_committed_counts(
    config: Config, tmp_path: Path
) -> None:
    folder = write_files(
        tmp_path / "r",
        {"Snakefile": snakefile(), ".gitignore": "work/\nresults/\n*.log\n", "data/a.txt": "1\n"},
    )
    commit(folder)
    before = digest(config, folder)
    write_files(
        folder,
        {
            "work/ab/cdef/.command.sh": "",
            "results/o.txt": "old\n",
            "x.log": "",
            ".snakemake/log/x": "",
            "__pycache__/x.pyc": "",
        },
    )
    (folder / "work/ab/cdef/in").symlink_to("/etc/passwd")
    assert digest(config, folder) == before, "leftovers of bare runs change nothing, and are no refusal"
    write_files(folder, {"data/a.txt": "2\n"})
    edited = digest(config, folder)
    assert edited != before
    write_files(folder, {"data/new.txt": "2\n"})
    assert digest(config, folder) != edited
    assert set(of(config, folder)) == {"Snakefile", "data/a.txt", "data/new.txt"}


def test_without_a_repository_gitignore_and_leftovers_are_known_too(config: Config, tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "r", {"Snakefile": snakefile(), ".gitignore": "big/\n", "big/x": "", "data/a.txt": "1\n"}
    )
    assert set(of(config, folder)) == {"Snakefile", "data/a.txt"}
    bare = write_files(
        tmp_path / "s",
        {
            "Snakefile": snakefile(),
            "work/ab/cdef/.command.sh": "",
            ".nextflow/history": "",
            ".nextflow.log.1": "",
        },
    )
    assert set(of(config, bare)) == {"Snakefile"}


def test_what_the_pipeline_names_is_there_although_git_ignores_it(config: Config, tmp_path: Path) -> None:
    files = {
        "Snakefile": 'configfile: "config.yaml"\n' + snakefile(),
        "config.yaml": "samples: mine/samples.tsv\n",
        "mine/samples.tsv": "s\n",
        ".gitignore": "config.yaml\nmine/\nresults/\n",
        "mine/other.tsv": "",
        "results/o.txt": "old\n",
    }
    folder = write_files(tmp_path / "r", files)
    commit(folder)
    assert set(of(config, folder)) == {"Snakefile", "config.yaml", "mine/samples.tsv"}, (
        "an old result is no part of it"
    )


def test_a_link_to_what_git_ignores_brings_it(config: Config, tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "r", {"Snakefile": snakefile(), ".gitignore": "big/\n", "big/a.txt": "1\n", "big/b/c": ""}
    )
    (folder / "data").symlink_to("big")
    commit(folder)
    assert of(config, folder) == {"Snakefile": "", "data": "big", "big/a.txt": "", "big/b/c": ""}


def test_a_store_and_a_saved_plan_in_the_repository_are_no_code(inside: Inside, tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "r",
        {"Snakefile": 'rule all:\n    output: "results/o.txt"\n    shell: "echo 1 > {output}"\n'},
    )
    commit(folder)
    store = folder / "runs"
    assert inside("--store", store, "store", "init", "--json").code == 0
    first = inside("--store", store, "plan", folder, "-o", folder / "plan.json", "--json")
    assert first.code == 0, first.err
    assert first.json["digest"] == inside("--store", store, "plan", folder, "--json").json["digest"]


# --- what may be read


README = {
    "Snakefile": snakefile(),
    "data/a.txt": "1\n",
    "README.md": "a\n",
    "docs/x.md": "a\n",
    ".github/w.yml": "a\n",
    "LICENSE": "x",
}


def test_an_edited_readme_makes_no_new_run(config: Config, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "r", README)
    commit(folder)
    before = digest(config, folder)
    write_files(folder, {"README.md": "b\n", "docs/x.md": "b\n", ".github/w.yml": "b\n", "LICENSE": "y"})
    assert digest(config, folder) == before
    assert set(of(config, folder)) == {"Snakefile", "data/a.txt"}, (
        "it isn't even there: a wrong guess fails, and gives no wrong result"
    )


@pytest.mark.parametrize(
    "text",
    [
        "README.md",
        "*.md",
        "$(ls)",
        "`find . -name x`",
        "'*'",
        "{{wildcards.x}}.md",
        "$(python -c 'import os; os.listdir()')",
        "./*",
    ],
)
def test_a_readme_that_may_be_read_counts(config: Config, tmp_path: Path, text: str) -> None:
    folder = write_files(
        tmp_path / "r", {**README, "Snakefile": snakefile("data/a.txt") + f'# cat "{text}"\n'}
    )
    commit(folder)
    before = digest(config, folder)
    write_files(folder, {"README.md": "b\n"})
    assert digest(config, folder) != before


def test_a_program_in_the_repository_may_read_anything(config: Config, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "r", README)
    (folder / "tool").write_bytes(b"\x7fELF\0")
    (folder / "tool").chmod(0o755)
    commit(folder)
    assert "README.md" in of(config, folder)


def test_hidden_files_that_are_named_are_there(config: Config, tmp_path: Path) -> None:
    files = {
        "Snakefile": 'configfile: "config.yaml"\n' + snakefile(),
        "config.yaml": "samples: .test/s.tsv\n",
        ".test/s.tsv": "s\n.more\n",
        ".more/x": "",
        ".ssh/id": "secret",
        ".env": "secret",
    }
    folder = write_files(tmp_path / "r", files)
    workflow = workflows.find(config, str(folder))
    assert set(of(config, folder)) == {"Snakefile", "config.yaml", ".test/s.tsv", ".more/x"}
    assert any(".env, .ssh" in reported for reported in workflow.code_warnings()), "what is left out is said"
    commit(folder)
    assert ".env" in of(config, folder), "what is committed is for all to see"


def test_content_that_git_lfs_has_not_fetched_is_reported(config: Config, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
    folder = write_files(tmp_path / "r", {"Snakefile": snakefile(), "data/a.txt": pointer})
    workflow = workflows.find(config, str(folder))
    (reported,) = workflow.code_warnings()
    assert "data/a.txt" in reported and "git lfs pull" in reported
    spec = Input(title="table")
    workflow = replace(workflow, manifest=msgspec.structs.replace(workflow.manifest, inputs={"table": spec}))
    _, (problem,) = inputs.resolve(workflow, {"table": [str(folder / "data/a.txt")]}, config.cache)
    assert "Git LFS pointer" in problem.what and "git lfs pull" in problem.hint, (
        "as an input it is no content"
    )


def test_a_submodule_that_is_not_there_is_reported(config: Config, tmp_path: Path) -> None:
    inner = write_files(tmp_path / "inner", {"x": "1\n"})
    commit(inner)
    folder = write_files(tmp_path / "r", {"Snakefile": snakefile()})
    commit(folder)
    from helpers.repositories import git

    git(folder, "submodule", "--quiet", "add", str(inner), "lib")
    commit(folder)
    assert "lib/x" in of(config, folder)
    git(tmp_path, "clone", "--quiet", str(folder), "clone")
    (reported,) = workflows.find(config, str(tmp_path / "clone")).code_warnings()
    assert "lib" in reported and "submodule update" in reported


def test_what_reana_names_is_there_if_it_is_hidden_too(config: Config, tmp_path: Path) -> None:
    printed = {
        "inputs": {"files": [".conf/x", "a b.txt"]},
        "workflow": {
            "type": "serial",
            "specification": {"steps": [{"environment": "busybox", "commands": ["cat .conf/x"]}]},
        },
    }
    folder = write_files(
        tmp_path / "r",
        {"reana.yaml": json.dumps(printed), ".conf/x": "1\n", ".conf/y": "", "a b.txt": "", "c.txt": ""},
    )
    assert set(of(config, folder)) == {"reana.yaml", ".conf/x", "a b.txt"}


# --- the cache of commits


def test_a_kept_commit_is_read_only_and_no_hint_leads_to_writing_there(
    inside: Inside, place: Place, tmp_path: Path
) -> None:
    folder = write_files(
        tmp_path / "r", {"p/Snakefile": snakefile("../data/a.txt"), "data/a.txt": "1\n", "run.sh": "x\n"}
    )
    (folder / "run.sh").chmod(0o755)
    commit(folder)
    url = f"{folder.as_uri()}#p"
    shown = inside("show", url)
    assert shown.code == 0, shown.err
    cache = place.root / "cache"
    (kept,) = cache.glob("sources/*/*/r")
    for path in [kept, *kept.rglob("*")]:
        assert not path.stat().st_mode & 0o222, path
    assert (kept / "run.sh").stat().st_mode & 0o111
    assert str(cache) not in shown.out
    assert "--into DIR" in shown.out and "file://" in shown.out
    kept.chmod(0o755)
    (kept / "p/Snakefile").chmod(0o644)  # as earlier versions left it
    found = workflows.find(configuration.load(), url)
    assert not (kept / "p/Snakefile").stat().st_mode & 0o222
    assert {f.name.split("/", 2)[2] for f in found.code_files()} == {"p/Snakefile", "data/a.txt", "run.sh"}, (
        "the repository, whatever part"
    )
    refused = inside("init", kept / "p", "--json")
    assert refused.code == 3 and "--into" in refused.problems
    made = inside("init", url, "--into", tmp_path / "wrapper", "--json")
    assert made.code == 0, made.out
    wrapped = workflows.find(configuration.load(), str(tmp_path / "wrapper/p.workflow.yaml"))
    assert wrapped.manifest.implementations[0].workdir == "p", "the wrapper's run is that of the pipeline"


def test_a_part_of_a_repository_reaches_the_rest_by_url_too(inside: Inside, tmp_path: Path) -> None:
    folder = write_files(
        tmp_path / "r", {"p/tool.cwl": CWL.format("../../../../../secret.txt"), "secret.txt": ""}
    )
    write_files(tmp_path, {"cache/secret.txt": "s"})
    commit(folder)
    done = inside("show", f"{folder.as_uri()}#p/tool.cwl", "--json")
    assert done.code == 2
    assert "lies outside" in done.problems


CWL = """\
cwlVersion: v1.2
class: CommandLineTool
inputs:
  text: {{type: File, default: {{class: File, location: "{}"}}}}
baseCommand: [cat]
outputs: {{out: stdout}}
stdout: o.txt
"""


def test_a_manifest_beside_a_pipeline_takes_what_the_pipeline_alone_takes(
    inside: Inside, config: Config, tmp_path: Path
) -> None:
    files = {
        "Snakefile": 'configfile: "config.yaml"\n' + snakefile(),
        "config.yaml": "samples: mine/s.tsv\n",
        "mine/s.tsv": "s\n",
        ".gitignore": "config.yaml\nmine/\n",
        "README.md": "a pipeline\n",
        ".hidden": "",
    }
    folder = write_files(tmp_path / "r", files)
    commit(folder)
    before = set(of(config, folder))
    assert inside("init", folder, "--json").code == 0
    assert set(of(config, folder)) == {*before, "workflow.yaml", "params.schema.json"}


def test_a_saved_plan_is_stale_if_what_may_be_read_changed(
    inside: Inside, config: Config, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "r", README)
    commit(folder)
    assert inside("plan", folder, "-o", tmp_path / "plan.json", "--json").code == 0
    plan = saved.read_intact_plan(tmp_path / "plan.json")
    write_files(folder, {"README.md": "b\n"})
    saved.confirm_fresh(plan, config)
    write_files(folder, {"data/a.txt": "2\n"})
    with pytest.raises(RefusedError, match="code of the workflow"):
        saved.confirm_fresh(plan, config)


def test_what_is_named_through_links_is_there_once(config: Config, tmp_path: Path) -> None:
    text = 'configfile: "c.yaml"\n' + snakefile("../more/a.txt")
    files = {
        "p/Snakefile": text,
        "p/c.yaml": "t: data/a.txt\nu: file.txt\n",
        "real/big/a.txt": "1\n",
        ".gitignore": "big\n",
    }
    folder = write_files(tmp_path / "r", files)
    (folder / "p/data").symlink_to("../more")
    (folder / "more").symlink_to("real/big")
    (folder / "p/file.txt").symlink_to("data/a.txt")
    commit(folder)
    workflow = workflows.find(config, str(folder / "p"))
    assert of(config, folder / "p") == {
        "p/Snakefile": "",
        "p/c.yaml": "",
        "p/data": "../more",
        "p/file.txt": "data/a.txt",
        "more": "real/big",
        "real/big/a.txt": "",
    }
    contents.write(workflow.code_files(), tmp_path / "snapshot")
    assert workflow.code_digest(tmp_path / "snapshot") == workflow.code_digest()
    assert (tmp_path / "snapshot" / workflow.position / "p/file.txt").read_text() == "1\n"
