"""``azure-pipelines.yml`` as values. A key that the harness would not honour is an error."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_STEP = {"name", "displayName", "condition", "continueOnError", "env", "timeoutInMinutes"}
_KINDS = {
    "script": set[str](),
    "task": {"inputs"},
    "publish": {"artifact"},
    "download": {"artifact"},
}
_CRON = re.compile(r"\d+ \d+ \S+ \S+ \S+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a job."""

    kind: str
    """``script``, ``task``, ``publish`` or ``download``."""
    value: str
    """The script, the task's name, or what is published or downloaded."""
    name: str | None
    title: str
    condition: str
    goes_on: bool
    """Whether its failure is an issue of a job that goes on."""
    env: Mapping[str, str]
    inputs: Mapping[str, str]
    artifact: str | None
    minutes: int
    """Those that it may take; 0: as many as its job has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job, or as many as its matrix has legs."""

    name: str
    matrix: str | None
    """An expression whose value is the legs, as JSON."""
    image: str
    goes_on: bool
    """Whether its failure is an issue of a run that goes on."""
    steps: tuple[Step, ...]
    minutes: int
    """Those that it may take; after them nothing of it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage and its jobs."""

    name: str
    depends_on: tuple[str, ...]
    condition: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The whole file."""

    triggers: Mapping[str, Any]
    variables: Mapping[str, str]
    stages: tuple[Stage, ...]

    def starts(self, reason: str, ref: str) -> bool:
        """Whether an event starts a run: ``IndividualCI``, ``PullRequest`` or ``Schedule``, on a ref."""
        kind = "tags" if ref.startswith("refs/tags/") else "branches"
        name = ref.removeprefix("refs/tags/").removeprefix("refs/heads/")
        rules = {
            "IndividualCI": [self.triggers["trigger"]],
            "PullRequest": [self.triggers["pr"]],
            "Schedule": self.triggers["schedules"],
        }[reason]
        return any(fnmatchcase(name, pattern) for rule in rules for pattern in rule.get(kind, {}).get("include", ()))


def read(path: Path) -> Pipeline:
    """Read the file. Raises :class:`ValueError` for what the harness would not honour."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    _only(data, {"trigger", "pr", "schedules", "variables", "stages"}, "the pipeline")
    for schedule in data["schedules"]:
        _only(schedule, {"cron", "displayName", "branches", "always"}, "a schedule")
        if not _CRON.fullmatch(schedule["cron"]):
            raise ValueError(f"{schedule['cron']!r} is no time in cron's form")
    stages: list[Stage] = []
    for each in data["stages"]:
        stages.append(_stage(each, stages[-1].name if stages else None))
    triggers = {key: data[key] for key in ("trigger", "pr", "schedules")}
    return Pipeline(triggers=triggers, variables=data["variables"], stages=tuple(stages))


def _stage(data: dict[str, Any], before: str | None) -> Stage:
    _only(data, {"stage", "dependsOn", "condition", "jobs"}, "a stage")
    depends_on = data.get("dependsOn", [before] if before else [])
    return Stage(
        name=data["stage"],
        depends_on=(depends_on,) if isinstance(depends_on, str) else tuple(depends_on),
        condition=data.get("condition", "succeeded()"),
        jobs=tuple(map(_job, data["jobs"])),
    )


def _job(data: dict[str, Any]) -> Job:
    known = {"job", "pool", "workspace", "steps", "strategy", "timeoutInMinutes", "cancelTimeoutInMinutes"}
    _only(data, {*known, "continueOnError"}, "a job")
    matrix = data["strategy"]["matrix"] if "strategy" in data else None
    image = data["pool"]["vmImage"]
    steps, minutes = tuple(map(_step, data["steps"])), int(data.get("timeoutInMinutes", 60))
    return Job(name=data["job"], matrix=matrix, image=image, goes_on=_goes_on(data), steps=steps, minutes=minutes)


def _step(data: dict[str, Any]) -> Step:
    kind = next((kind for kind in _KINDS if kind in data), "")
    if not kind:
        raise ValueError(f"a step of an unknown kind: {', '.join(data)}")
    _only(data, {kind, *_KINDS[kind], *_STEP}, f"a step {kind}")
    return Step(
        kind=kind,
        value=data[kind],
        name=data.get("name"),
        title=data.get("displayName", f"{kind} {data.get('artifact', data[kind])}"),
        condition=data.get("condition", "succeeded()"),
        goes_on=_goes_on(data),
        env=data.get("env", {}),
        inputs=data.get("inputs", {}),
        artifact=data.get("artifact"),
        minutes=int(data.get("timeoutInMinutes", 0)),
    )


def _goes_on(data: Mapping[str, Any]) -> bool:
    return str(data.get("continueOnError", "false")).lower() == "true"


def _only(data: Mapping[str, Any], known: set[str], what: str) -> None:
    if unknown := sorted(data.keys() - known):
        raise ValueError(f"{what} has {', '.join(unknown)}, which this harness does not know")
