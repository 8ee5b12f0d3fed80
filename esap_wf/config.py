"""Where things are: the environment of docs/commands.md and the user's configuration file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esap_wf.errors import Problem, UsageError
from esap_wf.formats import reading

#: Tables and keys of the configuration file.
KNOWN: dict[str, set[str]] = {
    "": {
        "store",
        "cache",
        "workflows",
        "engines",
        "backends",
        "datalakes",
        "containers",
        "credentials",
        "web",
        "cache_size",
    },
    "web": {"hosts", "credentials"},
    "containers": {"runtimes", "map", "programs"},
}
#: Container runtimes that esap-wf knows (`esap_wf.software.containers`).
RUNTIMES = ("apptainer", "podman", "docker", "udocker")


def _base(variable: str, fallback: str) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") else Path.home() / fallback


def _expanded(text: str, where: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError("a path can't be used", [Problem(where, f"{text}: {error}")]) from None


@dataclass(frozen=True)
class Config:
    """
    What applies to one command.

    Parameters
    ----------
    store : Path
        Run store (``ESAP_WF_STORE``, ``--store``).
    cache : Path
        Environments, index, hashes (``ESAP_WF_CACHE``): a local disk, can be deleted at any time.
    workflows : tuple of Path
        Folders searched beside the built-in one.
    engines, backends, datalakes, containers, credentials, web : dict
        Tables of the configuration file.
    cache_size : int or str
        Bytes that fetched files may take, beside those that runs have.
    source : Path
        The configuration file, whether it exists or not.
    """

    store: Path
    cache: Path
    source: Path
    workflows: tuple[Path, ...] = ()
    engines: dict[str, dict[str, Any]] = field(default_factory=dict)
    backends: dict[str, dict[str, Any]] = field(default_factory=dict)
    datalakes: dict[str, dict[str, Any]] = field(default_factory=dict)
    containers: dict[str, Any] = field(default_factory=dict)
    credentials: dict[str, dict[str, Any]] = field(default_factory=dict)
    web: dict[str, Any] = field(default_factory=dict)
    cache_size: int | str = "100 GB"


def load(store: str | None = None) -> Config:
    """
    Read the environment and the configuration file.

    Parameters
    ----------
    store : str, optional
        ``--store``, which wins.

    Raises
    ------
    UsageError
        The file is broken or has unknown keys.
    """
    source = Path(
        os.environ.get("ESAP_WF_CONFIG") or _base("XDG_CONFIG_HOME", ".config") / "esap-wf/config.toml"
    )
    table: dict[str, Any] = {}
    if source.exists():
        import tomllib

        try:
            table = tomllib.loads(reading.read_text(source))
        except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
            raise UsageError(
                "the configuration file can't be read", [Problem(str(source), str(error))]
            ) from None
    problems = _unknown_keys(table, "", str(source))
    for key in ("engines", "backends", "datalakes", "credentials"):
        if not isinstance(table.get(key, {}), dict) or not all(
            isinstance(v, dict) for v in table.get(key, {}).values()
        ):
            problems.append(Problem(f"{source}: {key}", f"must be a table of tables: [{key}.NAME]"))
    for key in ("store", "cache"):
        if not isinstance(table.get(key, ""), str):
            problems.append(Problem(f"{source}: {key}", "must be a path"))
    folders = table.get("workflows", [])
    if not isinstance(folders, list) or not all(isinstance(f, str) for f in folders):
        problems.append(Problem(f"{source}: workflows", "must be a list of folders"))
    problems += _container_problems(table.get("containers", {}), str(source))
    problems += _web_problems(table.get("web", {}), str(source))
    if not isinstance(table.get("cache_size", ""), int | str):
        problems.append(Problem(f"{source}: cache_size", 'must be an amount, as in "100 GB"'))
    if problems:
        raise UsageError("the configuration file is not valid", problems)

    def path(text: str) -> Path:
        return (source.parent / _expanded(text, str(source))).absolute()

    chosen = store or os.environ.get("ESAP_WF_STORE")
    kept = path(table["store"]) if "store" in table else _base("XDG_DATA_HOME", ".local/share") / "esap-wf"
    cache = os.environ.get("ESAP_WF_CACHE")
    cached = path(table["cache"]) if "cache" in table else _base("XDG_CACHE_HOME", ".cache") / "esap-wf"
    return Config(
        store=_expanded(chosen, "--store, ESAP_WF_STORE").absolute() if chosen else kept,
        cache=_expanded(cache, "ESAP_WF_CACHE").absolute() if cache else cached,
        source=source,
        workflows=tuple(path(f) for f in folders),
        engines=table.get("engines", {}),
        backends=table.get("backends", {}),
        datalakes=table.get("datalakes", {}),
        containers=table.get("containers", {}),
        credentials=table.get("credentials", {}),
        web=table.get("web", {}),
        cache_size=table.get("cache_size", "100 GB"),
    )


def _unknown_keys(table: dict[str, Any], name: str, source: str) -> list[Problem]:
    """Of a table of the file, or of the whole file if it has no name."""
    known, where = KNOWN[name], f"{source}: {name}{'.' if name else ''}"
    hint = f"known: {', '.join(sorted(known))}"
    return [Problem(f"{where}{key}", "unknown key", hint) for key in set(table) - known]


def _web_problems(table: Any, source: str) -> list[Problem]:
    if not isinstance(table, dict):
        return [Problem(f"{source}: web", "must be a table: [web]")]
    problems = _unknown_keys(table, "web", source)
    hosts, named = table.get("hosts", []), table.get("credentials", {})
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        problems.append(Problem(f"{source}: web.hosts", 'must be a list, as in ["data.example.org:8443"]'))
    if not isinstance(named, dict) or not all(isinstance(name, str) for name in named.values()):
        what = 'must name a credential for each host: "data.example.org" = "NAME"'
        problems.append(Problem(f"{source}: web.credentials", what))
    return problems


def _container_problems(table: Any, source: str) -> list[Problem]:
    if not isinstance(table, dict):
        return [Problem(f"{source}: containers", "must be a table: [containers]")]
    problems = _unknown_keys(table, "containers", source)
    runtimes = table.get("runtimes", [])
    if (
        not isinstance(runtimes, list)
        or not all(isinstance(r, str) for r in runtimes)
        or set(runtimes) - set(RUNTIMES)
    ):
        problems.append(Problem(f"{source}: containers.runtimes", f"must be a list of {', '.join(RUNTIMES)}"))
    for key in ("map", "programs"):
        named = table.get(key, {})
        if not isinstance(named, dict) or not all(isinstance(v, str) for v in named.values()):
            problems.append(
                Problem(f"{source}: containers.{key}", f"must be a table of strings: [containers.{key}]")
            )
        elif key == "programs" and set(named) - set(RUNTIMES):
            problems.append(
                Problem(
                    f"{source}: containers.programs", f"must have runtimes as keys: {', '.join(RUNTIMES)}"
                )
            )
    return problems
