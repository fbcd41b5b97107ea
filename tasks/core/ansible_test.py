"""What the lines mean that ansible-test prints with ``-v --no-redact`` while it is core-ci's client."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tasks.core.errors import BadInput, ServiceFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.core.errors import SpareTireError

_ASKS = re.compile(r"Initializing new .+ instance using: (?P<address>https?://\S+/[^/\s]+)")
_STARTED = re.compile(r"Started .+ instance\.")
_NOT_STARTED = re.compile(r"FATAL: [0-9]{3}: ")
_GIVEN_BACK = re.compile(r"(Stopped running|Cleared invalid) .+ instance\.")
_DENIED = re.compile(r"WARNING: (?P<reason>40[13]: .+?)\.* Trying again after ")
_REASON = re.compile(r"(?:FATAL|ERROR): (?P<reason>.+)|(?:[A-Za-z]+\.)+(?P<raised>[A-Za-z]*(?:Error|Exception): .+)")
_REFUSED = re.compile(r"ansible-test \S+: error: (?:argument \S+: )?(?P<reason>.+)")
_UNKNOWN_PYTHON = re.compile(r'"(?P<version>3\.[0-9]+)" not in: (?P<known>[0-9., ]+)')
_PROOF = re.compile(r"##vso\[task\.addattachment type=ansible-core-ci;name=public-key\.pem\](?P<file>/[^\r\n]+)")


def asked_for(line: str) -> str | None:
    """Return the address of the instance that is about to be asked for; whoever knows it can stop the instance."""
    found = _ASKS.search(line)
    return found["address"] if found else None


def is_started(line: str) -> bool:
    """Whether the service has said that there is an instance."""
    return _STARTED.search(line) is not None


def is_refused(line: str) -> bool:
    """Whether the service has said, for the last time, that there is none."""
    return _NOT_STARTED.match(line) is not None


def is_given_back(line: str) -> bool:
    """Whether the service has said that the instance is gone."""
    return _GIVEN_BACK.search(line) is not None


def denial(line: str) -> str | None:
    """Return why the service does not let the user in, which ansible-test asks three times and changes no more."""
    found = _DENIED.match(line)
    return found["reason"] if found else None


def is_proof(line: str, temporary: str | None) -> bool:
    """Whether a line is the one that Azure's agent has to obey, for it to tell core-ci whose run this is.

    The agent uploads the file that is named: nothing but what lies where it has its ``temporary`` files.
    """
    found = _PROOF.fullmatch(line)
    if found is None or not temporary:
        return False
    file = PurePosixPath(found["file"])
    return file.parent == PurePosixPath(temporary) and file.name not in {".", ".."}


def why_none(name: str, lines: Sequence[str], release: str) -> SpareTireError:
    """Return why there is no instance, from all that ansible-test of a ``release`` has printed."""
    refused = next(filter(None, map(_REFUSED.search, reversed(lines))), None)
    if refused is None:
        found = next(filter(None, map(_REASON.search, reversed(lines))), None)
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return no_machine(name, found["reason"] or found["raised"] if found else last)
    if refused["reason"].startswith('"remote" not in'):
        return BadInput(
            f"{name}: there are no credentials for core-ci: neither ~/.ansible-core-ci.key nor "
            "~/.ansible-core-ci.auth is there; docs/core-ci.md says what they hold"
        )
    if unknown := _UNKNOWN_PYTHON.search(refused["reason"]):
        return BadInput(
            f"{name}: ansible-core {release} knows no Python {unknown['version']} on a remote host, "
            f"only {unknown['known']}: run nox with a later Python, which gets a later one"
        )
    return BadInput(f"{name}: ansible-test refuses the instance: {refused['reason']}")


def no_machine(name: str, reason: str) -> ServiceFailed:
    """Return the error of an instance that core-ci does not give."""
    return ServiceFailed(f"{name}: ansible-test gets no machine from core-ci: {reason}")
