"""Which files ``globs``, ``rglobs`` and ``zglobs`` find; hidden files only where a pattern names their dot.

In ``globs`` a ``*`` stays within one folder. In ``zglobs`` a part ``**`` stands for any folders, or none. In ``rglobs``
each part that begins with ``*`` is looked for in all folders below, as in Pants v1: ``rglobs('*.py')`` is
``zglobs('**/*.py')``, ``rglobs('static/*')`` is ``zglobs('static/**/*')``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tasks.monorepo.values import Glob

_FOLDERS = r"(?:[^/.][^/]*/)*"


def found(glob: Glob, paths: Iterable[str]) -> tuple[str, ...]:
    """Return those of some paths, relative to the BUILD file's folder, that a glob finds, in their order."""
    wanted = _compiled(glob.function, glob.patterns)
    without = [_compiled(each.function, each.patterns) for each in glob.exclude]
    return tuple(path for path in paths if wanted.match(path) and not any(each.match(path) for each in without))


def check_pattern(pattern: str) -> None:
    """Raise :class:`ValueError` where a pattern leads out of the BUILD file's folder, or is none."""
    parts = pattern.split("/")
    if pattern.startswith("/") or ".." in parts:
        raise ValueError("leads out of the BUILD file's folder; a file has one BUILD file that owns it")
    if not any(part not in {"", "."} for part in parts):
        raise ValueError("names no file")
    try:
        _compiled("zglobs", (pattern,))
    except re.error as error:
        raise ValueError(f"is no pattern of file names: {error}") from error


@lru_cache(maxsize=1024)
def _compiled(function: str, patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{_expression(function, pattern)})\\Z" for pattern in patterns))


def _expression(function: str, pattern: str) -> str:
    parts = [part for part in pattern.split("/") if part not in {"", "."}]
    if function == "rglobs":
        parts = [new for part in parts for new in (["**", part] if part[0] == "*" and part != "**" else [part])]
    made = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**" and function != "globs":
            made += _FOLDERS + (r"[^/.][^/]*" if last else "")
        else:
            made += _part(part) + ("" if last else "/")
    return made


def _part(part: str) -> str:
    made = r"(?!\.)" if part[0] in "*?[" else ""
    place = 0
    while place < len(part):
        letter = part[place]
        end = part.find("]", place + 2) if letter == "[" else -1
        if letter == "*":
            made += "[^/]*"
        elif letter == "?":
            made += "[^/]"
        elif end > 0:
            inner = part[place + 1 : end].replace("\\", r"\\").replace("[", r"\[")
            made += f"(?!/)[{'^' + inner[1:] if inner[0] == '!' else inner.replace('^', chr(92) + '^')}]"
            place = end
        else:
            made += re.escape(letter)
        place += 1
    return made
