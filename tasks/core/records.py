"""What is kept of a build: a record for each wheel, in-toto statement v1 with SLSA provenance v1, and visits.

https://in-toto.io/Statement/v1 and https://slsa.dev/spec/v1.0/provenance say what the fields mean; where they
leave the form open (parameters, annotations), ``FORMAT`` and ``VERSION`` in ``internalParameters`` name ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tasks.core.addresses import without_credentials
from tasks.core.requirements import with_nested

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.core.actions import Action
    from tasks.core.jobs import Result
    from tasks.core.requirements import BuiltRequirement, OwnWheel
    from tasks.core.wheels import WheelContents

FORMAT, VERSION = "spare-tire/record", 1
VISIT_FORMAT, VISIT_VERSION = "spare-tire/visit", 1
BUILD_TYPE = "urn:spare-tire:build-type:wheel:1"
BUILDER = "urn:spare-tire:worker:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What built a wheel, when, and what it printed."""

    worker: str
    """The worker's kind: ``local``."""
    tools: Mapping[str, str]
    """Our own files that ran on the worker, with their sha256."""
    log_sha256: str
    """The digest of the log as it is kept, compressed."""
    started: datetime
    finished: datetime
    built_first: tuple[BuiltRequirement, ...] = ()
    """The build requirements that had no wheel there."""
    ours: tuple[OwnWheel, ...] = ()
    """Those that were taken from ``dist`` or from our index, since no other has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionOutcome:
    """What became of one action of a visit."""

    action: Action
    outcome: str
    """``built``, ``kept`` (a former run built it), ``shared`` (another action's wheel does for it), ``failed``, or
    ``refused`` (its sdist has another digest, or its wheel has the name of another action's and other bytes)."""
    wheel: str | None = None
    """The wheel's file name."""
    sha256: str | None = None
    reason: str | None = None
    check: str | None = None
    """The check that failed, by its name in records."""
    log: str | None = None
    """The log's path in ``dist``."""
    tail: tuple[str, ...] = ()
    """The last lines of a failure."""
    seconds: float = 0.0
    check_seconds: float = 0.0
    """How many of them the checks took."""
    started: datetime | None = None
    finished: datetime | None = None


def timestamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 has it, in UTC and whole seconds: ``2026-01-31T23:59:59Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def record(action: Action, wheel: WheelContents, result: Result, origin: Origin) -> bytes:
    """Return the bytes of a wheel's record."""
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": wheel.filename, "digest": {"sha256": wheel.sha256}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": _asked_for(action),
                "internalParameters": _found_on_worker(action, result),
                "resolvedDependencies": [
                    *_sources(action),
                    *map(_requirement, result.requirements),
                    *map(_built_first, with_nested(origin.built_first)),
                    *map(_ours, sorted(origin.ours, key=lambda each: each.filename)),
                ],
            },
            "runDetails": {
                "builder": {
                    "id": f"{BUILDER}{origin.worker}:1",
                    "version": {"spare-tire/record": str(VERSION)},
                    "builderDependencies": [
                        {"name": name, "digest": {"sha256": digest}} for name, digest in sorted(origin.tools.items())
                    ],
                },
                "metadata": {"startedOn": timestamp(origin.started), "finishedOn": timestamp(origin.finished)},
                "byproducts": _byproducts(wheel, result, origin),
            },
        },
    }
    return _json(_clean(statement))


def visit(
    instance: str, arch: str, worker: str, outcomes: tuple[ActionOutcome, ...], *, started: datetime, finished: datetime
) -> bytes:
    """Return the bytes of a visit's report."""
    document = {
        "format": VISIT_FORMAT,
        "version": VISIT_VERSION,
        "instance": instance,
        "arch": arch,
        "worker": worker,
        "started": timestamp(started),
        "finished": timestamp(finished),
        "actions": [described(outcome) for outcome in sorted(outcomes, key=lambda found: found.action.wheel.filename)],
    }
    return _json(_clean(document))


def visit_name(instance: str, moment: datetime) -> str:
    """Return the file name of a visit: ``freebsd-15.1-20260131T235959Z``, without a suffix."""
    return f"{instance.replace('/', '-')}-{moment.astimezone(UTC).strftime('%Y%m%dT%H%M%SZ')}"


def described(outcome: ActionOutcome) -> dict[str, Any]:
    """Return an outcome as plain data, for a visit and for ``--json``."""
    action = outcome.action
    return {
        "key": action.key,
        "package": action.package,
        "version": str(action.version),
        "python": action.python.tag,
        "expected": action.wheel.filename,
        "outcome": outcome.outcome,
        "wheel": outcome.wheel,
        "sha256": outcome.sha256,
        "reason": outcome.reason,
        "failed_check": outcome.check,
        "log": outcome.log,
        "seconds": round(outcome.seconds, 1),
        "started": outcome.started and timestamp(outcome.started),
        "finished": outcome.finished and timestamp(outcome.finished),
    }


def _asked_for(action: Action) -> dict[str, Any]:
    return {
        "package": action.package,
        "version": str(action.version),
        "sdist": action.sdist.url,
        "wheel": action.wheel.filename,
        "target": action.target,
        "instance": action.instance,
        "arch": action.arch,
        "python": action.python.tag,
        "abi": action.python.abi,
        "rules": action.rules.to_dict(),
        "check": action.check.to_dict(),
    }


def _found_on_worker(action: Action, result: Result) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "recipeKey": action.key,
        "environment": dict(result.environment),
        "interpreter": dict(result.interpreter),
        "tools": dict(result.tools),
        "network": result.network,
    }


def _sources(action: Action) -> list[dict[str, Any]]:
    sdist = action.sdist
    patches = [{"name": patch.path.rpartition("/")[2], "digest": {"sha256": patch.sha256}} for patch in action.patches]
    return [{"name": sdist.filename, "uri": sdist.url, "digest": {"sha256": sdist.sha256}}, *patches]


def _requirement(pinned: str) -> dict[str, str]:
    """Return a build requirement as a package URL, which leaves open what index it came from."""
    try:
        requirement = Requirement(pinned)
    except InvalidRequirement:
        return {"name": pinned, "uri": f"urn:spare-tire:build-requirement:{quote(pinned, safe='')}"}
    versions = sorted(specifier.version for specifier in requirement.specifier)
    version = f"@{quote(versions[0], safe='')}" if versions else ""
    return {"name": pinned, "uri": f"pkg:pypi/{canonicalize_name(requirement.name)}{version}"}


def _built_first(built: BuiltRequirement) -> dict[str, Any]:
    """Return the sdist of a build requirement that was built on the worker, and what came of it."""
    sdist = built.action.sdist
    return {
        "name": sdist.filename,
        "uri": sdist.url,
        "digest": {"sha256": sdist.sha256},
        "annotations": {
            "builtFirst": built.pinned,
            "recipeKey": built.action.key,
            "wheel": built.wheel.filename,
            "wheelSha256": built.wheel.sha256,
            "requirements": list(built.requirements),
        },
    }


def _ours(wheel: OwnWheel) -> dict[str, Any]:
    """Return a build requirement that came from us, by its digest: what built it, its own record says."""
    name = wheel.name
    return {
        "name": wheel.filename,
        "digest": {"sha256": wheel.sha256},
        "annotations": {"ownWheel": f"{name.name}=={name.version}"},
    }


def _byproducts(wheel: WheelContents, result: Result, origin: Origin) -> list[dict[str, Any]]:
    return [
        {
            "name": "log",
            "uri": f"logs/{wheel.filename}.txt.gz",
            "digest": {"sha256": origin.log_sha256},
            "mediaType": "text/plain; charset=utf-8",
        },
        {
            "name": "checks",
            "uri": f"{BUILD_TYPE}:checks",
            "annotations": {"checks": [dict(check) for check in result.checks]},
        },
        {"name": "times", "uri": f"{BUILD_TYPE}:times", "annotations": {"seconds": dict(result.times)}},
    ]


def _clean(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _json(document: object) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"
