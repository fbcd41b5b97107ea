"""Golden files: files that were made by running a program once, and that its formats promise to keep readable.

Each folder of them has a manifest that says of each file its digest, the version that made it, what it shows and what
the reader must find in it. The manifest only grows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from tasks.core.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "manifest.json"
FORMAT, FORMAT_VERSION = "spare-tire/golden-manifest", 1
_SHOWN = 60  # characters of a value


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """That a file is not read any more, accepted in writing."""

    version: Version
    """The major version that no longer reads it."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenFile:
    """What a manifest says of a file."""

    sha256: str
    """64 hex digits."""
    made_by: Version
    """The version of the program that wrote it."""
    shows: str
    """What can be seen in it that no other shows, for people."""
    finds: Any
    """What the reader must find in it, as JSON holds it."""
    accepted: Break | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as the manifest has it."""
        made = {"sha256": self.sha256, "made_by": str(self.made_by), "shows": self.shows, "finds": self.finds}
        if self.accepted:
            made["accepted"] = {"version": str(self.accepted.version), "reason": self.accepted.reason}
        return made

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GoldenFile:
        """Read an entry. Raises :class:`KeyError`, :class:`TypeError` or :class:`ValueError`."""
        known = {"sha256", "made_by", "shows", "finds", "accepted"}
        if unknown := sorted(set(data) - known):
            raise ValueError(f"the key {unknown[0]!r} is not known")
        accepted = data.get("accepted")
        return cls(
            sha256=_text(data, "sha256"),
            made_by=_version(data, "made_by"),
            shows=_text(data, "shows"),
            finds=data["finds"],
            accepted=None
            if accepted is None
            else Break(version=_version(accepted, "version"), reason=_text(accepted, "reason")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The golden files of a folder, by path below it, with ``/`` between its parts."""

    files: Mapping[str, GoldenFile] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Manifest:
        """Read a manifest. Raises :class:`BadInput` that names ``where`` and the file."""
        try:
            document = json.loads(data, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{where}: not JSON: {error}; restore it from version control") from error
        if not isinstance(document, dict) or (document.get("format"), document.get("version")) != (
            FORMAT,
            FORMAT_VERSION,
        ):
            raise BadInput(f"{where}: expected an object with the format {FORMAT}, version {FORMAT_VERSION}")
        entries = document.get("files", {})
        if not isinstance(entries, dict):
            raise BadInput(f"{where}: files is {_shown(entries)}, expected an object; restore it from version control")
        files = {}
        for name, entry in entries.items():
            try:
                files[below(name)] = GoldenFile.from_dict(entry)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                reason = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
                raise BadInput(f"{where}: {name}: {reason}") from error
        return cls(files=files)

    def to_json(self) -> bytes:
        """Return the manifest's bytes: equal manifests give equal bytes."""
        files = {name: self.files[name].to_dict() for name in sorted(self.files)}
        document = {"format": FORMAT, "version": FORMAT_VERSION, "files": files}
        return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"

    def having(self, name: str, file: GoldenFile) -> Manifest:
        """Return the manifest with one more file."""
        return replace(self, files={**self.files, below(name): file})


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a reader made of a file: a value, or why it could not read it."""

    value: Any = None
    failure: str | None = None


def unaccepted(file: GoldenFile, current: Version | None) -> str | None:
    """Return why a break is not accepted by what the manifest says of it; None where it is, or none is claimed.

    ``current`` is the version of the program as it is, where that is known.
    """
    said = file.accepted
    if said is None:
        return None
    if said.version.is_prerelease or said.version.major < 1 or any(said.version.release[1:]):
        return f"the break is accepted for {said.version}, which is no major version: expected 1.0.0, 2.0.0 …"
    if said.version <= file.made_by:
        return f"the break is accepted for {said.version}, which is no later than {file.made_by}, which made it"
    if current is not None and current < said.version:
        return f"the break is accepted for {said.version}, and this is {current}: until then it has to be read"
    if not said.reason.strip():
        return f"the break is accepted for {said.version} without a reason: write why"
    return None


def is_gone(file: GoldenFile, current: Version | None) -> bool:
    """Whether a major version has accepted that the file is read no more."""
    return file.accepted is not None and unaccepted(file, current) is None


def judged(file: GoldenFile, data: bytes) -> str | None:
    """Return what is wrong with a file's bytes, None where they are what they were."""
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 == file.sha256:
        return None
    return f"was changed: its sha256 is {sha256}, it was {file.sha256}; golden files do not change: restore it"


def misread(file: GoldenFile, found: Found, nothing: Found, *, empty: bool) -> str | None:
    """Return what is wrong with what the reader found in a file, None where it is what it must find.

    ``nothing`` is what it finds in an empty file: a reader that finds the same there has not read this one.
    """
    if found.failure is not None:
        return f"is not read: {found.failure}"
    if unlike := difference(file.finds, found.value):
        return f"is read as something else: {unlike}"
    if not empty and nothing.failure is None and difference(nothing.value, found.value) is None:
        return "is not read: the reader finds the same in an empty file"
    return None


def difference(expected: object, found: object, path: str = "") -> str | None:
    """Return the first place where what was found is not what was expected, as the end of a sentence; else None.

    Both are what JSON holds. An object may have keys besides the expected ones: newer readers find more.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected):
            place = f"{path}.{key}" if path else key
            if key not in found:
                return f"{place} is missing, expected {_shown(expected[key])}"
            if unlike := difference(expected[key], found[key], place):
                return unlike
        return None
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return next((unlike for i, (a, b) in pairs if (unlike := difference(a, b, f"{path}[{i}]"))), None)
    if json.dumps(expected, sort_keys=True) == json.dumps(found, sort_keys=True):  # 1, 1.0 and true are three values
        return None
    return f"{path or 'it'} is {_shown(found)}, expected {_shown(expected)}"


def forgotten(name: str, then: GoldenFile, now: Manifest) -> str | None:
    """Return how a manifest goes back on what it once said of a file, None where it still says it."""
    file = now.files.get(name)
    if file is None:
        return "was taken out of the manifest; golden files do not go: restore both"
    if replace(then, accepted=None) == replace(file, accepted=None):
        return None
    unlike = difference(then.to_dict(), {**then.to_dict(), **file.to_dict()}) or "it has to find more now"
    return f"the manifest once said something else of it: {unlike}; restore it"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} is there twice")
    return made


def below(name: str) -> str:
    """Return the path of a golden file below its folder. Raises :class:`ValueError` where it is none."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or str(path) != name or name in {".", MANIFEST}:
        raise ValueError("expected the path of a file below the manifest's folder")
    return name


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data[key]
    if not isinstance(value, str):
        raise TypeError(f"{key} is {_shown(value)}, expected text")
    return value


def _version(data: Mapping[str, Any], key: str) -> Version:
    try:
        return Version(_text(data, key))
    except InvalidVersion:
        raise ValueError(f"{key} is {data[key]!r}, expected a version (PEP 440)") from None
