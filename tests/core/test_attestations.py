from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.core.attestations import UnfitAttestation, check_provenance, provenance_of
from tests.attested import attestation, provenance, statement

WHEEL = "demo-1.0-py3-none-any.whl"
SHA256 = "a" * 64
GOOD = statement(WHEEL, SHA256)
AT = "attestation_bundles[0].attestations[0]"


def check(document: object) -> bytes:
    return check_provenance(json.dumps(document).encode(), WHEEL, SHA256)


@pytest.mark.parametrize(
    "told",
    [
        GOOD,
        GOOD | {"predicateType": "https://slsa.dev/provenance/v1"},
        statement("Demo-1.0-py3-none-any.whl", SHA256),
    ],
    ids=["publish", "SLSA", "another spelling of the name"],
)
def test_attestations_about_the_wheel_are_passed_through_byte_for_byte(told: dict[str, Any]) -> None:
    document = json.dumps(provenance(attestation(told), more="kept"), indent=3).encode()

    assert check_provenance(document, WHEEL, SHA256) == document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "version is missing"),
        (provenance(attestation(GOOD), version=2), "version is 2, expected 1"),
        (provenance(attestation(GOOD), version=True), "version is True, expected 1"),
        (
            provenance(attestation(GOOD), attestation_bundles=[]),
            "attestation_bundles is [], expected a list that is not empty",
        ),
        (provenance(), "attestation_bundles[0].attestations is [], expected a list that is not empty"),
        (
            provenance(attestation_bundles=[{"publisher": {}, "attestations": []}]),
            "attestation_bundles[0].publisher.kind is missing",
        ),
        (provenance(attestation(GOOD, version=2)), f"{AT}.version is 2, expected 1"),
        (
            provenance(attestation(GOOD, verification_material={"certificate": "!", "transparency_entries": []})),
            f"{AT}.verification_material.certificate is '!', expected base64",
        ),
        (
            provenance(attestation(GOOD, verification_material={"certificate": "aa==", "transparency_entries": 1})),
            f"{AT}.verification_material.transparency_entries is 1, expected a list",
        ),
        (provenance(attestation(GOOD, envelope={"statement": "aa=="})), f"{AT}.envelope.signature is missing"),
        (
            provenance(attestation(GOOD, envelope={"statement": "aa==", "signature": ""})),
            f"{AT}.envelope.signature is '', expected text",
        ),
        (
            provenance(attestation(GOOD, envelope={"statement": "aa==", "signature": "aa=="})),
            f"{AT}.envelope.statement is not JSON",
        ),
        (
            provenance(attestation(GOOD | {"_type": "x"})),
            f"{AT}.envelope.statement._type is 'x', expected 'https://in-toto.io/Statement/v1'",
        ),
        (
            provenance(attestation(GOOD | {"predicateType": "x"})),
            (f"{AT}.envelope.statement.predicateType is 'x', expected SLSA provenance v1 or a publish attestation v1"),
        ),
        (
            provenance(attestation(GOOD | {"subject": GOOD["subject"] * 2})),
            f"{AT}.envelope.statement.subject is 2 subjects, expected one",
        ),
        (
            provenance(attestation(statement("other-1.0-py3-none-any.whl", SHA256))),
            f"{AT}.envelope.statement.subject[0].name is 'other-1.0-py3-none-any.whl', expected '{WHEEL}'",
        ),
        (
            provenance(attestation(statement(WHEEL, "b" * 64))),
            f"{AT}.envelope.statement.subject[0].digest.sha256 is '{'b' * 64}', expected '{SHA256}'",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(document: object, message: str) -> None:
    with pytest.raises(UnfitAttestation) as error:
        check(document)

    assert str(error.value) == message


def test_what_is_no_json_is_no_provenance() -> None:
    with pytest.raises(UnfitAttestation, match=r"^it is not JSON$"):
        check_provenance(b"x", WHEEL, SHA256)


def test_attestations_alone_are_bundled_without_saying_who_published() -> None:
    one, two = attestation(GOOD), attestation(GOOD | {"predicateType": "https://slsa.dev/provenance/v1"})

    made = provenance_of([json.dumps(one).encode(), json.dumps(two).encode()], WHEEL, SHA256)

    assert json.loads(made) == {
        "version": 1,
        "attestation_bundles": [{"publisher": {"kind": "unstated"}, "attestations": [one, two]}],
    }


def test_an_attestation_of_other_bytes_is_not_bundled() -> None:
    with pytest.raises(UnfitAttestation, match=r"digest\.sha256 is 'b"):
        provenance_of([json.dumps(attestation(statement(WHEEL, "b" * 64))).encode()], WHEEL, SHA256)
