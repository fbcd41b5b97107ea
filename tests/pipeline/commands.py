"""The logging commands that a step prints, as Azure's agent finds them: anywhere in a line, on either stream."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_COMMAND = re.compile(r"##vso\[(?P<name>[a-z]+\.[a-z]+)(?:\s+(?P<properties>[^\]]*))?\](?P<value>.*)", re.IGNORECASE)
_ESCAPED = {"%0D": "\r", "%0A": "\n", "%3B": ";", "%5D": "]", "%AZP25": "%"}
_ESCAPE = re.compile("|".join(_ESCAPED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """``##vso[NAME PROPERTY=…;PROPERTY=…]VALUE``."""

    name: str
    properties: Mapping[str, str]
    value: str


def commands(log: str) -> Iterator[Command]:
    """Yield the commands of a step's log."""
    for line in log.splitlines():
        if found := _COMMAND.search(line):
            given = [each.partition("=") for each in (found["properties"] or "").split(";") if each.strip()]
            yield Command(
                name=found["name"].lower(),
                properties={name.strip().lower(): _unescaped(value) for name, _, value in given},
                value=_unescaped(found["value"]),
            )


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED[match[0]], text)
