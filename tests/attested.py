"""Makes attestations of the right shape (PEP 740); nobody has signed them."""

from __future__ import annotations

import base64
import json
from typing import Any

PUBLISH = "https://index.example.test/attestations/publish/v1"


def statement(filename: str, sha256: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    """Return an in-toto statement about a wheel."""
    subject = [{"name": filename, "digest": {"sha256": sha256}}]
    made = {"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": PUBLISH, "predicate": None}
    return made | changes


def attestation(told: dict[str, Any], **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    """Return an attestation object around a statement."""
    made = {
        "version": 1,
        "verification_material": {"certificate": _base64(b"certificate"), "transparency_entries": [{}]},
        "envelope": {"statement": _base64(json.dumps(told).encode()), "signature": _base64(b"signature")},
    }
    return made | changes


def provenance(*attestations: dict[str, Any], **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    """Return a provenance object around attestations."""
    bundle = {"publisher": {"kind": "CI", "claims": {}}, "attestations": list(attestations)}
    return {"version": 1, "attestation_bundles": [bundle]} | changes


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
