"""Reads and writes the index's JSON documents; what is wrong in one is said with its place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tasks.core.errors import ServiceFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

_SHOWN = 60  # characters of a wrong value


@dataclass(frozen=True, slots=True)
class At:
    """A place in a document, for messages: ``simple/x/index.json: files[2].hashes``."""

    where: str
    path: str = ""

    def key(self, key: str | int) -> At:
        """Return the place one step further in."""
        if isinstance(key, int):
            return At(self.where, f"{self.path}[{key}]")
        return At(self.where, f"{self.path}.{key}" if self.path else key)

    def wrong(self, found: object, expected: str) -> ServiceFailed:
        """Return the error that says what was found here."""
        shown = json.dumps(found, ensure_ascii=False)
        shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
        place = f"{self.where}: {self.path}" if self.path else self.where
        advice = "the page was not written by spare-tire, or is damaged: move it away and run publish -- --rebuild"
        return ServiceFailed(f"{place} is {shown}, expected {expected}; {advice}")

    def expect(self, value: object, kind: type[T], expected: str) -> T:
        """Return the value, which must be of that kind; a boolean is no number."""
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.wrong(value, expected)
        return value

    def take(self, mapping: dict[str, Any], key: str, kind: type[T], expected: str) -> T:
        """Remove a key that must be there and return its value."""
        if key not in mapping:
            raise self.wrong(sorted(mapping), f"an object with the key {key}")
        value = mapping.pop(key)
        return value if type(value) is kind else self.key(key).expect(value, kind, expected)

    def take_optional(self, mapping: dict[str, Any], key: str, kind: type[T], expected: str) -> T | None:
        """Remove a key that may be missing, or null, and return its value."""
        value = mapping.pop(key, None)
        return value if value is None or type(value) is kind else self.key(key).expect(value, kind, expected)


def parse(data: bytes, at: At) -> object:
    """Parse a JSON document of the index."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        shown = data[:40].decode("utf-8", "replace")
        raise at.wrong(shown, "a JSON document") from None


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the document's bytes: equal documents give equal bytes."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
