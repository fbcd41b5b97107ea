"""What starts a run of the harness, and what becomes of it, as Azure Pipelines' page of the run shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

SUCCEEDED, ISSUES, FAILED, SKIPPED = "Succeeded", "SucceededWithIssues", "Failed", "Skipped"
_WORST = (FAILED, ISSUES, SUCCEEDED, SKIPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Why a run is, and with what: variables as set on the pipeline's page; secrets reach only steps that name them."""

    reason: str = "IndividualCI"
    ref: str = "refs/heads/main"
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    attached: Callable[[str, str], object] = lambda _name, _text: None
    """Is told, while the step runs, of an attachment's name and text, as Azure's REST API would tell of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """What became of a step."""

    stage: str
    node: str
    title: str
    result: str
    env: Mapping[str, str]
    """All that its process was given; empty for one that is no script."""
    log: str


@dataclass(slots=True, kw_only=True)
class Run:
    """What became of a run, as its page shows it."""

    folder: Path
    stages: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    """By ``STAGE.NODE`` the result."""
    steps: list[StepRun] = field(default_factory=list)
    artifacts: dict[str, Path] = field(default_factory=dict)
    outputs: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    """By stage and job: ``STEP.VARIABLE``, in a matrix ``NODE.STEP.VARIABLE``, and its value."""
    summaries: list[str] = field(default_factory=list)
    tests: dict[str, str] = field(default_factory=dict)
    """Of the page's tests ``passed`` or ``failed``."""

    @property
    def result(self) -> str:
        """The run's result."""
        return worst(self.stages.values())

    @property
    def log(self) -> str:
        """All that was printed."""
        return "".join(f"── {step.stage} {step.node} {step.title}: {step.result}\n{step.log}" for step in self.steps)


def worst(results: Collection[str]) -> str:
    """Return the result of a whole from those of its parts."""
    return next((result for result in _WORST if result in results), SUCCEEDED)
