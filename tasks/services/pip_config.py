"""What pip's configuration says of the package index, read without starting pip (which takes 0.3 s).

Followed is pip's documented order: the global files, the user's, the environment's (``site``), the file that
``PIP_CONFIG_FILE`` names, the variables ``PIP_…``; later ones override single keys. Of the files only the section
``[global]`` counts, as in ``pip config get global.index-url``: ``[install]`` and ``[download]`` say how one command is
to behave, and planning is neither.
"""

from __future__ import annotations

import configparser
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_TIMEOUT = 15.0
"""Seconds that pip waits for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipSettings:
    """What counts for asking an index; where a setting came from is said for messages: a file or a variable."""

    index_url: str | None = field(default=None, repr=False)
    """With the user info that it may have."""
    index_url_from: str = ""
    cert: str | None = None
    """A file of certificate authorities."""
    proxy: str | None = field(default=None, repr=False)
    timeout: float = DEFAULT_TIMEOUT
    """Seconds."""


def read_pip_settings(environ: Mapping[str, str] = os.environ, *, prefix: str = sys.prefix) -> PipSettings:
    """Read pip's configuration as the pip of the environment ``prefix`` would; raises :class:`BadInput`."""
    found = {key: (value, where) for key, value, where in _settings(environ, prefix)}
    named = {key: value for key, (value, _) in found.items() if value}
    timeout = named.get("timeout") or named.get("default-timeout")
    return PipSettings(
        index_url=named.get("index-url"),
        index_url_from=found["index-url"][1] if "index-url" in named else "",
        cert=named.get("cert"),
        proxy=named.get("proxy"),
        timeout=_seconds(timeout) if timeout else DEFAULT_TIMEOUT,
    )


def config_files(environ: Mapping[str, str], prefix: str) -> list[Path]:
    """Return the files that pip would read, whether they are there or not, the weakest first."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    files = [directory / name for directory in _global_directories(environ)]
    if not (named and Path(named).exists()):  # then the user's own are not read
        files += [directory / name for directory in _user_directories(environ)]
    files.append(Path(prefix) / name)
    return [*files, Path(named)] if named else files


def _settings(environ: Mapping[str, str], prefix: str) -> Iterator[tuple[str, str, str]]:
    """Yield key, value and where it stands; a later one overrides an earlier one."""
    for path in config_files(environ, prefix):
        for key, value in _read(path):
            yield key, value, str(path)
    for variable in sorted(environ):
        if variable.startswith("PIP_") and environ[variable]:
            yield _normal(variable.removeprefix("PIP_")), environ[variable], variable


def _read(path: Path) -> list[tuple[str, str]]:
    parser = configparser.RawConfigParser()
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return []
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{path}: pip's configuration cannot be read: {reason}") from error
    return [(_normal(key), value) for key, value in parser.items("global")] if parser.has_section("global") else []


def _normal(key: str) -> str:
    return key.lower().replace("_", "-").removeprefix("--")


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"pip's setting timeout is {text!r}, expected a number of seconds") from None


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def _global_directories(environ: Mapping[str, str]) -> list[Path]:
    if sys.platform == "win32":
        return [Path(environ.get("PROGRAMDATA", r"C:\ProgramData")) / "pip"]
    if sys.platform == "darwin":
        return [Path("/Library/Application Support/pip")]
    shared = environ.get("XDG_CONFIG_DIRS", "").strip() or "/etc/xdg"
    return [*(Path(directory) / "pip" for directory in shared.split(os.pathsep)), Path("/etc")]


def _user_directories(environ: Mapping[str, str]) -> list[Path]:
    home = _home(environ)
    if sys.platform == "win32":
        return [home / "pip", Path(environ.get("APPDATA", str(home / "AppData" / "Roaming"))) / "pip"]
    if sys.platform == "darwin":
        support = home / "Library" / "Application Support" / "pip"
        return [home / ".pip", support if support.is_dir() else home / ".config" / "pip"]
    own = environ.get("XDG_CONFIG_HOME", "").strip()
    return [home / ".pip", (Path(own) if own else home / ".config") / "pip"]
