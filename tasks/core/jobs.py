"""What the controller and the helper say to each other: the job that goes in, the result that comes back."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tasks.core.addresses import without_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.core.actions import Action

JOB, RESULT = "spare-tire/job", "spare-tire/result"
VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where on the worker an action finds what it needs; all paths are absolute and the worker's."""

    sdist: str
    python: str
    """The interpreter that the wheel is for."""
    root: str
    """The scratch root, the same on every run."""
    output: str
    """The directory for the wheel and ``result.json``."""
    path: str
    """The ``PATH`` of the build."""
    patches: tuple[str, ...] = ()
    installer: str | None = None
    """The program uv; ``None`` for the interpreter's own pip."""
    index_url: str | None = field(default=None, repr=False)
    """Where build requirements come from, with user info; ``None`` for the installer's configuration."""
    find_links: tuple[str, ...] = ()
    """Directories with wheels of requirements that were built there first."""
    wheels: tuple[str, ...] = ()
    """Wheels of ours, each taken wherever its project is required: no index is asked for another."""
    ours: tuple[str, ...] = ()
    """Projects that no index may have another release of than ``wheels``."""
    wheel: str | None = None
    """A wheel that is there already: it is checked, and nothing is built."""
    shared: str | None = None
    """A directory for environments that later actions use too; ``None`` where each makes its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltFile:
    """The wheel that a helper says it has built."""

    filename: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an action ended on the worker; what describes the build is data for its record."""

    built: bool
    reason: str | None
    """Why it failed."""
    wheel: BuiltFile | None
    refused: bool = False
    """Whether it failed because the sdist is hostile or another one: nothing of it was run."""
    requirements: tuple[str, ...] = ()
    """The build environment as resolved."""
    environment: Mapping[str, str] = field(default_factory=dict)
    interpreter: Mapping[str, Any] = field(default_factory=dict)
    tools: Mapping[str, Any] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)
    """Seconds by step."""
    checks: tuple[Mapping[str, Any], ...] = ()
    network: bool = False
    lacking: tuple[str, ...] = ()
    """What is asked of a requirement that has no wheel there, its name first: the reason that it failed.

    With a wheel it is a requirement of that, which is built, but not checked; else one of the build.
    """


def job(
    action: Action, site: Site, config_settings: Mapping[str, tuple[str, ...]], *, with_check: bool = True
) -> bytes:
    """Return the bytes of a ``spare-tire/job``; ``with_check`` has the wheel installed and tried where it is built."""
    number, letters = action.wheel.build or ("", "")
    rules = action.rules
    document = {
        "format": JOB,
        "version": VERSION,
        "key": action.key,
        "package": {"name": action.package, "release": str(action.version)},
        "sdist": site.sdist,
        "sha256": action.sdist.sha256,
        "python": site.python,
        "root": site.root,
        "output": site.output,
        "build_tag": f"{number}{letters}",
        "constraints": list(rules.constraints or ()),
        "build_requires": list(rules.build_requires or ()),
        "env": dict(rules.env or {}),
        "config_settings": {name: list(values) for name, values in config_settings.items()},
        "patches": list(site.patches),
        "timeout": action.timeout,
        "network": bool(rules.network),
        "installer": site.installer,
        "index_url": site.index_url,
        "path": site.path,
        "find_links": list(site.find_links),
        "wheels": list(site.wheels),
        "ours": list(site.ours),
        "wheel": site.wheel,
        "shared": site.shared,
        "check": {**action.check.to_dict(), "import": list(action.check.imports) or None} if with_check else None,
    }
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def read_result(data: bytes, key: str) -> Result:
    """Read a ``spare-tire/result``. Raises ``ValueError`` for what is none, or is another action's.

    The worker ran foreign code, so nothing in it is believed that is used as a path or compared.
    """
    try:
        document = json.loads(data)
        if (document["format"], document["version"], document["key"]) != (RESULT, VERSION, key):
            raise ValueError("it is another action's, or of another format")
        wheel = document["wheel"]
        return Result(
            built=document["outcome"] == "built",
            reason=_text(document["reason"]),
            refused=document["outcome"] == "refused",
            wheel=None if wheel is None else _built_file(wheel),
            requirements=tuple(sorted(map(str, document["requirements"]))),
            environment={str(name): str(value) for name, value in document["environment"].items()},
            interpreter=dict(document["interpreter"] or {}),
            tools=dict(document["tools"] or {}),
            times={str(name): round(float(value), 3) for name, value in document["times"].items()},
            checks=tuple(dict(check) for check in document["checks"]),
            network=bool(document["network"]),
            lacking=tuple(map(str, document["lacking"] or ())),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it lacks or mistakes {error}") from error


def _text(value: object) -> str | None:
    return None if value is None else without_credentials(" ".join(str(value).split()))


def _built_file(wheel: Mapping[str, Any]) -> BuiltFile:
    filename, sha256 = str(wheel["filename"]), str(wheel["sha256"])
    if "/" in filename or "\\" in filename or not filename.endswith(".whl") or filename.startswith("."):
        raise ValueError(f"it names the wheel {filename!r}")
    if not _SHA256.fullmatch(sha256):
        raise ValueError(f"its sha256 is {sha256!r}")
    return BuiltFile(filename=filename, sha256=sha256, size=int(wheel["size"]))
