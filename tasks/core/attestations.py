"""Attestations that come with a wheel (PEP 740): passed through if their shape is right and they are about the wheel.

Signatures are not verified here: that takes the signer's trust roots, and whoever installs has to do it anyway.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import TYPE_CHECKING, Any

from tasks.core.wheels import WheelName

if TYPE_CHECKING:
    from collections.abc import Sequence

_PREDICATES = re.compile(r"https://slsa\.dev/provenance/v1|https://[a-z0-9.-]+/attestations/publish/v1")
"""PEP 740's two: SLSA provenance, and that an index or its trusted publisher has published the file."""
_STATEMENT = "https://in-toto.io/Statement/v1"
_PUBLISHER = {"kind": "unstated"}


class UnfitAttestation(Exception):
    """The attestations cannot be published with this wheel; the message says where they are wrong, and why."""


def provenance_of(attestations: Sequence[bytes], filename: str, sha256: str) -> bytes:
    """Return a provenance object that holds some attestation objects.

    An attestation does not say who published; the object's publisher is of the kind ``unstated`` then.
    """
    found = [_parse(data) for data in attestations]
    bundle = {"publisher": _PUBLISHER, "attestations": found}
    made = json.dumps({"version": 1, "attestation_bundles": [bundle]}, sort_keys=True, separators=(",", ":"))
    return check_provenance(made.encode() + b"\n", filename, sha256)


def check_provenance(data: bytes, filename: str, sha256: str) -> bytes:
    """Return a provenance object's bytes as they are; it must be version 1, and each attestation about the wheel.

    ``sha256`` is the wheel's, 64 hex digits. Raises :class:`UnfitAttestation`.
    """
    provenance = _Value(_parse(data), "")
    provenance.version()
    for bundle in provenance.key("attestation_bundles").items():
        bundle.key("publisher").key("kind").text()
        for attestation in bundle.key("attestations").items():
            _check_attestation(attestation, filename, sha256)
    return data


def _check_attestation(attestation: _Value, filename: str, sha256: str) -> None:
    attestation.version()
    material = attestation.key("verification_material")
    material.key("certificate").decoded()
    material.key("transparency_entries").items(at_least=0)  # "SHOULD include one or more"
    envelope = attestation.key("envelope")
    envelope.key("signature").decoded()
    wrapped = envelope.key("statement")
    statement = _Value(_parse(wrapped.decoded(), wrapped.place), wrapped.place)
    statement.key("_type").must_be(_STATEMENT)
    predicate = statement.key("predicateType")
    if not _PREDICATES.fullmatch(predicate.text()):
        raise predicate.wrong(_shown(predicate.value), "SLSA provenance v1 or a publish attestation v1")
    subjects = statement.key("subject").items()
    if len(subjects) != 1:
        raise statement.key("subject").wrong(f"{len(subjects)} subjects", "one")
    name = subjects[0].key("name")
    if _wheel(name.text()) != _wheel(filename):
        raise name.wrong(repr(name.value), f"'{filename}'")
    subjects[0].key("digest").key("sha256").must_be(sha256)


class _Value:
    """A value of a JSON document, and its place in it."""

    def __init__(self, value: Any, place: str) -> None:  # noqa: ANN401 - whatever JSON holds
        self.value = value
        self.place = place

    def key(self, key: str) -> _Value:
        place = f"{self.place}.{key}" if self.place else key
        if not isinstance(self.value, dict) or key not in self.value:
            raise UnfitAttestation(f"{place} is missing")
        return _Value(self.value[key], place)

    def items(self, *, at_least: int = 1) -> list[_Value]:
        if not isinstance(self.value, list) or len(self.value) < at_least:
            raise self.wrong(_shown(self.value), "a list that is not empty" if at_least else "a list")
        return [_Value(item, f"{self.place}[{number}]") for number, item in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong(_shown(self.value), "text")
        return self.value

    def decoded(self) -> bytes:
        try:
            return base64.b64decode(self.text(), validate=True)
        except binascii.Error:
            raise self.wrong(_shown(self.value), "base64") from None

    def must_be(self, expected: str) -> None:
        if self.value != expected:
            raise self.wrong(_shown(self.value), f"'{expected}'")

    def version(self) -> None:
        version = self.key("version")
        if version.value is True or version.value != 1:
            raise version.wrong(_shown(version.value), "1")

    def wrong(self, found: str, expected: str) -> UnfitAttestation:
        return UnfitAttestation(f"{self.place} is {found}, expected {expected}")


def _parse(data: bytes, place: str = "it") -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise UnfitAttestation(f"{place} is not JSON") from None


def _wheel(filename: str) -> WheelName | None:
    try:
        return WheelName.parse(filename)
    except ValueError:
        return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"  # noqa: PLR2004 - characters of a message
