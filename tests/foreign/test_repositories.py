"""Code from git repositories: what a reference means, how it is pinned, and what is refused."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.files import write_files
from helpers.repositories import answering, commit, git, serving
from helpers.waiting import until
from hypothesis import given
from hypothesis import strategies as st

from esap_wf.catalogue import addresses, repositories
from esap_wf.catalogue import git as git_program
from esap_wf.code import contents, selection
from esap_wf.config import Config
from esap_wf.errors import EsapError, NotFoundError, UnavailableError, UsageError

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits, a branch with a slash, an annotated and a light tag."""
    folder = write_files(
        tmp_path / "upstream", {"main.txt": "one\n", "folder/data.txt": "1\n", ".hidden": "x\n"}
    )
    commit(folder, "one")
    git(folder, "tag", "-a", "v1", "-m", "first")
    git(folder, "tag", "light")
    git(folder, "branch", "feature/x")
    write_files(folder, {"main.txt": "two\n"})
    commit(folder, "two")
    return folder


def text_at(config: Config, text: str) -> str:
    return (repositories.fetch(addresses.parse(text), config).folder / "main.txt").read_text()


def test_branch_tag_commit_and_default_branch_are_found(repository: Path, config: Config) -> None:
    url = repository.as_uri()
    first = git(repository, "rev-parse", "v1^{commit}")
    assert text_at(config, url) == "two\n"
    for ref in ("v1", "light", "feature/x", first, first[:10], "refs/heads/feature/x"):
        source = repositories.fetch(addresses.parse(f"{url}@{ref}"), config)
        assert source.commit == first, ref
        assert (source.folder / "main.txt").read_text() == "one\n"
    assert source.folder.name == "upstream"
    assert not (source.folder / ".git").exists()


def test_a_commit_that_is_no_tip_is_found(repository: Path, config: Config) -> None:
    write_files(repository, {"main.txt": "lost\n"})
    lost = commit(repository)
    write_files(repository, {"main.txt": "three\n"})
    commit(repository)
    assert text_at(config, f"{repository.as_uri()}@{lost}") == "lost\n"


def test_a_cached_commit_needs_no_repository_and_a_branch_says_so(repository: Path, config: Config) -> None:
    url = repository.as_uri()
    pinned = repositories.fetch(addresses.parse(url), config).commit
    shutil.rmtree(repository)
    assert text_at(config, f"{url}@{pinned}") == "two\n"
    with pytest.raises(NotFoundError, match="no such repository"):
        repositories.fetch(addresses.parse(url), config)
    with pytest.raises(NotFoundError):
        repositories.fetch(addresses.parse(f"{url}@{'0' * 40}"), config)


def test_a_bare_repository_and_a_ref_of_a_path_are_sources(
    repository: Path, config: Config, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), "bare.git")
    assert addresses.is_url(str(tmp_path / "bare.git"))
    assert text_at(config, str(tmp_path / "bare.git")) == "two\n"
    assert text_at(config, f"{tmp_path / 'bare.git'}@v1") == "one\n"
    assert text_at(config, f"{repository}@v1") == "one\n"
    assert not addresses.is_url(str(repository)), "a clone without a ref is a folder"


def test_submodules_come_with_it(repository: Path, config: Config, tmp_path: Path) -> None:
    outer = write_files(tmp_path / "outer", {"main.txt": "outer\n"})
    commit(outer)
    git(outer, "submodule", "--quiet", "add", "../upstream", "inner")
    commit(outer)
    folder = repositories.fetch(addresses.parse(outer.as_uri()), config).folder
    assert (folder / "inner/main.txt").read_text() == "two\n"
    assert not list(folder.rglob(".git"))


def test_a_tag_and_a_branch_of_one_name_are_not_guessed(repository: Path, config: Config) -> None:
    git(repository, "branch", "v1", "main")
    with pytest.raises(UsageError, match="a tag and a branch"):
        repositories.fetch(addresses.parse(f"{repository.as_uri()}@v1"), config)
    assert text_at(config, f"{repository.as_uri()}@refs/heads/v1") == "two\n"


@pytest.mark.parametrize("ref", ["nope", "v2", "0" * 12])
def test_a_ref_that_is_not_there_is_named(repository: Path, config: Config, ref: str) -> None:
    with pytest.raises(NotFoundError, match=ref):
        repositories.fetch(addresses.parse(f"{repository.as_uri()}@{ref}"), config)


def test_several_at_once_download_once(
    repository: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[repositories.Source] = []
    downloads: list[str] = []
    download = repositories._download

    def counted(*given: Any) -> repositories.Source:
        downloads.append(str(given[0]))
        return download(*given)

    monkeypatch.setattr(repositories, "_download", counted)

    def fetch() -> None:
        found.append(repositories.fetch(addresses.parse(repository.as_uri()), config))

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len({f.folder for f in found}) == 1
    assert len(downloads) == 1
    assert not list((config.cache / "sources").glob("*/new-*"))


def test_what_a_killed_download_left_is_cleared(repository: Path, config: Config) -> None:
    reference = addresses.parse(repository.as_uri())
    home = repositories.fetch(reference, config).folder.parents[1]
    write_files(home, {"new-x/upstream/main.txt": "half"})
    commit(repository)
    repositories.fetch(reference, config)
    assert not list(home.glob("new-*"))


# --- snapshots


def snapshot(folder: Path) -> dict[str, str]:
    """What is snapshotted of a repository, and where links lead."""
    return {
        f.name.removeprefix("x/"): f.link for f in contents.kept(folder, "x", selection.choose(folder).names)
    }


def test_links_inside_a_repository_stay_links(repository: Path, config: Config) -> None:
    (repository / "link").symlink_to("folder")
    (repository / "file.txt").symlink_to("main.txt")
    (repository / "folder/up").symlink_to("..")
    (repository / "nothing").symlink_to("gone")
    commit(repository)
    folder = repositories.fetch(addresses.parse(repository.as_uri()), config).folder
    assert snapshot(folder) == {
        "main.txt": "",
        "folder/data.txt": "",
        ".hidden": "",
        "link": "folder",
        "file.txt": "main.txt",
        "folder/up": "..",
        "nothing": "gone",
    }


@pytest.mark.parametrize(("name", "target"), [("a", "/etc"), ("b", "../.."), ("e", "/etc/passwd")])
def test_a_link_out_of_a_repository_is_refused_if_it_is_named_and_else_left_out(
    repository: Path, config: Config, name: str, target: str
) -> None:
    (repository / name).symlink_to(target)
    commit(repository)
    folder = repositories.fetch(addresses.parse(repository.as_uri()), config).folder
    chosen = selection.choose(folder)
    assert name not in chosen.names
    assert any(w.startswith(f"{name} is a link") for w in chosen.warnings)
    write_files(repository, {"folder/data.txt": f"read {name}/x\n"})
    commit(repository)
    folder = repositories.fetch(addresses.parse(repository.as_uri()), config).folder
    with pytest.raises(UsageError, match=r"folder/data.txt names it"):
        selection.choose(folder)


# --- servers


def test_a_server_that_only_has_files_is_a_source(repository: Path, config: Config, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), "served.git")
    git(tmp_path / "served.git", "update-server-info")
    with serving(tmp_path) as url:
        assert text_at(config, f"{url}/served.git") == "two\n"
        assert text_at(config, f"{url}/served.git@v1") == "one\n"
        assert text_at(config, f"{url}/served.git@feature/x") == "one\n"


def answers(daemon: subprocess.Popen[bytes], port: int) -> bool:
    """Whether it listens; False if it has ended."""

    def state() -> str:
        if daemon.poll() is not None:
            return "ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return "listens"
        return ""

    return until(state) == "listens"


def test_git_s_own_server_is_a_source(repository: Path, config: Config, tmp_path: Path) -> None:
    for _ in range(5):  # somebody else may take the free port before it does
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        daemon = subprocess.Popen(
            [
                "git",
                "daemon",
                "--listen=127.0.0.1",
                f"--port={port}",
                f"--base-path={tmp_path}",
                "--export-all",
                str(tmp_path),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if answers(daemon, port):
            break
    try:
        assert text_at(config, f"git://127.0.0.1:{port}/upstream@v1") == "one\n"
        with pytest.raises(NotFoundError):
            repositories.fetch(addresses.parse(f"git://127.0.0.1:{port}/gone"), config)
    finally:
        os.killpg(daemon.pid, signal.SIGTERM)
        daemon.wait(120)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")
def test_ssh_asks_nobody(config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    before = time.monotonic()
    with pytest.raises(UnavailableError):
        repositories.fetch(addresses.parse(f"ssh://git@127.0.0.1:{port}/x.git"), config)
    assert time.monotonic() - before < 10
    assert "BatchMode=yes" in git_program.environment("ssh://x/y")["GIT_SSH_COMMAND"]


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (401, UnavailableError, "password"),
        (403, UnavailableError, "password"),
        (404, NotFoundError, "no such repository"),
    ],
)
def test_a_server_that_refuses_is_reported_at_once(
    config: Config, code: int, kind: type[EsapError], words: str
) -> None:
    with answering(code) as (url, asked):
        before = time.monotonic()
        with pytest.raises(kind, match=words) as error:
            repositories.fetch(addresses.parse(f"{url}/group/private.git"), config)
        assert time.monotonic() - before < 10
        assert asked
        assert url in str(error.value)


def test_a_server_that_keeps_silent_is_not_waited_for(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repositories, "ANSWER", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        before = time.monotonic()
        with pytest.raises(UnavailableError, match="no answer within 1 s"):
            repositories.fetch(addresses.parse(f"http://127.0.0.1:{server.getsockname()[1]}/x.git"), config)
        assert time.monotonic() - before < 10


def test_a_port_where_nobody_listens(config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UnavailableError, match="can't be fetched"):
        repositories.fetch(addresses.parse(f"https://127.0.0.1:{port}/x.git"), config)


def test_an_askpass_program_is_never_started(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    program = tmp_path / "askpass"
    program.write_text(f"#!/bin/sh\ntouch {asked}\necho secret\n")
    program.chmod(0o755)
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.setenv(name, str(program))
    with answering(401) as (url, _), pytest.raises(UnavailableError):
        repositories.fetch(addresses.parse(f"{url}/x.git"), config)
    assert not asked.exists()


# --- what is not safe


@pytest.mark.parametrize(
    "text",
    [
        "ext::sh -c 'touch x'",
        "ext::sh%20-c%20touch",
        "--upload-pack=touch x",
        "https://--upload-pack=x/y",
        "ssh://-oProxyCommand=x/y",
        "ssh://-x@host/y",
        "-x@host:y/z",
        "https://user:secret@host/x.git",
        "https://token@host/x.git",
        "https://host",
        "https:///x",
        "file://elsewhere/x",
        "https://host/x\n.git",
        "https://host/x@--upload-pack=y",
        "https://host/x@a..b",
        "https://host/x@-b",
        "https://host/x@a b",
        "https://host/x#../../etc/passwd",
        "https://host/x#a#b#c",
        "https://host/x?y=1",
        "https://host:port/x",
        "https://host/x@",
        "git@host:x@y:z",
        "fd::17/x",
    ],
)
def test_addresses_that_git_could_take_for_something_else_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as error:
        addresses.parse(text)
    assert "secret" not in str(error.value) or text in str(error.value)


def test_a_submodule_can_not_run_commands_nor_read_this_machine(
    repository: Path, config: Config, tmp_path: Path
) -> None:
    mark = tmp_path / "executed"
    for url in (f"ext::sh -c 'touch {mark}'", "--upload-pack=touch"):
        evil = write_files(tmp_path / f"evil-{abs(hash(url))}", {"main.txt": "x\n"})
        commit(evil)
        git(evil, "submodule", "--quiet", "add", repository.as_uri(), "inner")
        (evil / ".gitmodules").write_text(f'[submodule "inner"]\n\tpath = inner\n\turl = "{url}"\n')
        commit(evil)
        with pytest.raises(EsapError):
            repositories.fetch(addresses.parse(evil.as_uri()), config)
        assert not mark.exists()
        assert not list((config.cache / "sources").glob("*/new-*")), "half a download is cleared away"
    assert "file" not in git_program.environment("https://host/x")["GIT_ALLOW_PROTOCOL"].split(":")


def test_hooks_of_the_users_templates_are_not_run(
    repository: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, hooks = tmp_path / "executed", tmp_path / "templates/hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (hooks / "post-checkout").chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[init]\n\ttemplateDir = {hooks.parent}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    assert text_at(config, repository.as_uri()) == "two\n"
    assert not mark.exists()


# --- texts


NAME = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_-", min_size=1, max_size=12).filter(
    lambda t: not t.startswith("-")
)
PATH = st.lists(NAME, min_size=1, max_size=4).map("/".join)


@given(
    scheme=st.sampled_from(["https", "http", "ssh", "git"]),
    host=st.from_regex(r"[a-z][a-z0-9]{0,8}(\.[a-z]{2,4})?", fullmatch=True),
    path=PATH,
    ref=st.none() | PATH,
    parts=st.lists(PATH, max_size=2),
)
def test_a_reference_is_read_as_it_is_written(
    scheme: str, host: str, path: str, ref: str | None, parts: list[str]
) -> None:
    made = addresses.Reference(f"{scheme}://{host}/{path}", ref, tuple(parts))
    assert addresses.is_url(str(made))
    assert addresses.parse(str(made)) == made
    assert addresses.parse(f"git+{made}") == made


@given(st.text(max_size=60) | st.text("ab/@#:.-~ \n\x00", max_size=30).map(lambda t: "https://h/" + t))
def test_any_text_is_a_reference_or_a_clear_error(text: str) -> None:
    try:
        found = addresses.parse(text)
    except UsageError as error:
        assert error.problems
    else:
        assert not found.url.startswith("-") and not (found.ref or "").startswith("-")
        assert all(c.isprintable() and c != " " for c in found.url)


def test_user_at_host_means_ssh() -> None:
    assert addresses.parse("git@example.org:group/x.git@v1#a") == addresses.Reference(
        "ssh://git@example.org/group/x.git", "v1", ("a",)
    )
    assert addresses.parse("https://example.org/@group/x") == addresses.Reference(
        "https://example.org/@group/x"
    )
