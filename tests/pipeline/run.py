"""Runs ``azure-pipelines.yml`` as Azure Pipelines would: its stages, conditions, matrix and results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.pipeline.expressions import Scope, holds, runtime
from tests.pipeline.node import Node
from tests.pipeline.results import FAILED, ISSUES, SKIPPED, SUCCEEDED, Run, worst

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.pipeline.azure_file import Job, Pipeline, Stage
    from tests.pipeline.results import Event


def run(pipeline: Pipeline, event: Event, repository: Path, folder: Path) -> Run:
    """Run a pipeline on the head of a repository; ``folder`` is empty, and keeps artifacts and workspaces."""
    made = Run(folder=folder)
    for stage in pipeline.stages:
        if not holds(stage.condition, _stage_scope(pipeline, event, made, stage)):
            made.stages[stage.name] = SKIPPED
            continue
        results = [_run_job(pipeline, event, made, stage, job, repository) for job in stage.jobs]
        made.stages[stage.name] = worst(results)
    return made


def _run_job(pipeline: Pipeline, event: Event, made: Run, stage: Stage, job: Job, repository: Path) -> str:
    legs: Mapping[str, Mapping[str, str]] = {"__default": {}}
    if job.matrix is not None:
        legs = json.loads(runtime(job.matrix, _stage_scope(pipeline, event, made, stage)))
    results = []
    for position, (name, leg) in enumerate(legs.items(), 1):
        node = Node(pipeline, event, made, stage, job, name, leg, repository, position)
        result = node.run()
        results.append(ISSUES if result == FAILED and job.goes_on else result)
        made.nodes[f"{stage.name}.{name if job.matrix else job.name}"] = results[-1]
    return worst(results)


def _stage_scope(pipeline: Pipeline, event: Event, made: Run, stage: Stage) -> Scope:
    """What a stage's condition and its jobs' matrices see: results and outputs of the stages that it depends on."""
    before = _ancestors(pipeline, stage)

    def of(names: Sequence[str]) -> list[str]:
        return [made.stages[name] for name in (names or before)]

    outputs = {
        name: {f"{job}.{output}": value for job, all_ in jobs.items() for output, value in all_.items()}
        for name, jobs in made.outputs.items()
    }
    dependencies = {name: {"result": made.stages[name], "outputs": outputs.get(name, {})} for name in stage.depends_on}
    jobs = {name: {job: {"outputs": all_} for job, all_ in made.outputs.get(name, {}).items()} for name in before}
    return Scope(
        values={
            "variables": {"Build.Reason": event.reason, "Build.SourceBranch": event.ref, **event.variables},
            "dependencies": dependencies,
            "stageDependencies": jobs,
        },
        status={
            "succeeded": lambda names: all(result in {SUCCEEDED, ISSUES} for result in of(names)),
            "succeededOrFailed": lambda names: all(result != SKIPPED for result in of(names)),
            "failed": lambda names: FAILED in of(names),
            "always": lambda _: True,
            "canceled": lambda _: False,
        },
    )


def _ancestors(pipeline: Pipeline, stage: Stage) -> list[str]:
    """Return the stages that a stage depends on, also by way of others."""
    by_name = {each.name: each for each in pipeline.stages}
    found = list(stage.depends_on)
    for name in stage.depends_on:
        found += [each for each in _ancestors(pipeline, by_name[name]) if each not in found]
    return found
