"""Runs ``azure-pipelines.yml`` as Azure Pipelines would: its conditions, matrix, variables, artifacts and results.

Each job gets an agent of its own: an empty home, a fresh clone, and of our environment only what leads this machine to
its package index. Scripts are real processes. What they print is read for logging commands.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.pipeline.commands import commands
from tests.pipeline.expressions import Scope, evaluate, is_true

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.pipeline.azure_file import Job, Pipeline, Stage, Step

SUCCEEDED, ISSUES, FAILED, SKIPPED = "Succeeded", "SucceededWithIssues", "Failed", "Skipped"
_WORST = (FAILED, ISSUES, SUCCEEDED, SKIPPED)
_MACRO = re.compile(r"\$\(([\w.]+)\)")
_RUNTIME = re.compile(r"\$\[(.*)\]", re.DOTALL)
_LIMIT = 1200  # seconds for one step

# How this machine reaches package indexes; an agent has that in its image.
_IMAGE = re.compile(r"(PIP|UV|SSL|REQUESTS|CURL)_\w+|\w+_proxy|\w+_PROXY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Why a run is, and with what: variables as set on the pipeline's page; secrets reach only steps that name them."""

    reason: str = "IndividualCI"
    ref: str = "refs/heads/main"
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


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

    @property
    def result(self) -> str:
        """The run's result."""
        return worst(self.stages.values())

    @property
    def log(self) -> str:
        """All that was printed."""
        return "".join(f"── {step.stage} {step.node} {step.title}: {step.result}\n{step.log}" for step in self.steps)


def worst(results: object) -> str:
    """Return the result of a whole from those of its parts."""
    found = set(results)  # type: ignore[call-overload]
    return next((result for result in _WORST if result in found), SUCCEEDED)


def run(pipeline: Pipeline, event: Event, repository: Path, folder: Path) -> Run:
    """Run a pipeline on the head of a repository; ``folder`` is empty, and keeps artifacts and workspaces."""
    made = Run(folder=folder)
    for stage in pipeline.stages:
        if not _condition(stage.condition, _stage_scope(pipeline, event, made, stage)):
            made.stages[stage.name] = SKIPPED
            continue
        results = [_run_job(pipeline, event, made, stage, job, repository) for job in stage.jobs]
        made.stages[stage.name] = worst(results)
    return made


def _run_job(pipeline: Pipeline, event: Event, made: Run, stage: Stage, job: Job, repository: Path) -> str:
    legs: Mapping[str, Mapping[str, str]] = {"__default": {}}
    if job.matrix is not None:
        legs = json.loads(_runtime(job.matrix, _stage_scope(pipeline, event, made, stage)))
    results = []
    for position, (name, leg) in enumerate(legs.items(), 1):
        node = _Node(pipeline, event, made, stage, job, name, leg, repository, position)
        results.append(node.run())
        made.nodes[f"{stage.name}.{name if job.matrix else job.name}"] = results[-1]
    return worst(results)


class _Node:
    """One job on one agent."""

    def __init__(  # noqa: PLR0913, PLR0917 - all of them make up its variables
        self,
        pipeline: Pipeline,
        event: Event,
        made: Run,
        stage: Stage,
        job: Job,
        name: str,
        leg: Mapping[str, str],
        repository: Path,
        position: int,
    ) -> None:
        self._event, self._made, self._stage, self._job, self._name = event, made, stage, job, name
        self._repository = repository
        self._in_matrix = job.matrix is not None
        self.result = SUCCEEDED
        agent = made.folder / f"{stage.name}-{name.strip('_')}"
        self._workspace = agent / "work" / "1"
        self._home = agent / "home"
        self._temp = agent / "work" / "_temp"
        self._tools = agent / "tools"
        system = {
            "Agent.TempDirectory": str(self._temp),
            "Build.BuildId": "7",
            "Build.Reason": event.reason,
            "Build.SourceBranch": event.ref,
            "Build.SourcesDirectory": str(self._workspace / "s"),
            "Pipeline.Workspace": str(self._workspace),
            "System.CollectionUri": "https://azure.test/",
            "System.JobAttempt": "1",
            "System.JobName": name,
            "System.JobPositionInPhase": str(position),
            "System.StageName": stage.name,
            "System.TeamProject": "wheels",
        }
        # Later ones win: the page's, the file's, the leg's.
        self._variables = {**event.variables}
        scope = self._scope()
        for variable, value in pipeline.variables.items():
            self._variables[variable] = _runtime(value, scope) if _RUNTIME.fullmatch(value) else value
        self._variables |= {**leg, **system}

    def run(self) -> str:
        for directory in (self._home, self._temp, self._tools, self._workspace):
            directory.mkdir(parents=True)
        assert "$(" not in self._filled(self._job.image), f"the image {self._job.image} has a variable without a value"
        clone = ["git", "clone", "--quiet", f"file://{self._repository}", str(self._workspace / "s")]
        subprocess.run(clone, check=True)
        for step in self._job.steps:
            if not _condition(step.condition, self._scope()):
                self._record(step, SKIPPED, {}, "")
                continue
            result = {"script": self._script, "task": self._task, "publish": self._publish, "download": self._download}[
                step.kind
            ](step)
            if result == FAILED and step.goes_on:
                result = ISSUES
            self.result = worst([self.result, result])
        return self.result

    def _script(self, step: Step) -> str:
        script = self._temp / "script.sh"
        script.write_text(self._filled(step.value), encoding="utf-8")
        env = self._environment(step)
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", str(script)],
            cwd=self._workspace / "s",
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LIMIT,
            check=False,
        )
        log = done.stdout.decode(errors="replace")
        results = [SUCCEEDED if done.returncode == 0 else FAILED]
        for command in commands(log):
            if command.name == "task.setvariable":
                assert command.properties["isoutput"] == "true"
                self._set_output(step, command.properties["variable"], command.value)
            elif command.name == "task.uploadsummary":
                assert Path(command.value).is_absolute()
                self._made.summaries.append(Path(command.value).read_text(encoding="utf-8"))
            elif command.name == "task.complete":
                results.append(command.properties["result"])
            else:
                raise AssertionError(f"Azure's agent is told {command}, which this harness does not know")
        result = worst(results)
        self._record(step, result, env, log)
        return result

    def _set_output(self, step: Step, variable: str, value: str) -> None:
        assert step.name, f"the step {step.title} has outputs and no name"
        name = f"{self._name}.{step.name}.{variable}" if self._in_matrix else f"{step.name}.{variable}"
        self._made.outputs.setdefault(self._stage.name, {}).setdefault(self._job.name, {})[name] = value

    def _task(self, step: Step) -> str:
        assert step.value == "UsePythonVersion@0", f"the harness does not know the task {step.value}"
        python = _interpreter(step.inputs["versionSpec"])
        subprocess.run([python, "-m", "venv", str(self._tools / "python")], check=True)
        self._record(step, SUCCEEDED, {}, "")
        return SUCCEEDED

    def _publish(self, step: Step) -> str:
        name = self._filled(step.artifact or "")
        source = self._workspace / "s" / step.value
        assert re.fullmatch(r"[\w.-]+", name), f"{name!r} cannot be an artifact's name"
        kept = self._made.folder / "artifacts" / name
        if not source.exists() or kept.exists():
            why = f"{name} is there already" if kept.exists() else f"there is no {step.value}"
            self._record(step, FAILED, {}, f"{why}\n")
            return FAILED
        kept.mkdir(parents=True)
        if source.is_dir():
            shutil.copytree(source, kept, dirs_exist_ok=True)
        else:
            shutil.copy2(source, kept)
        self._made.artifacts[name] = kept
        self._record(step, SUCCEEDED, {}, "")
        return SUCCEEDED

    def _download(self, step: Step) -> str:
        assert step.value == "current"
        pattern = _glob(step.patterns)
        wanted = [step.artifact] if step.artifact else sorted(self._made.artifacts)
        for name in wanted:
            if name not in self._made.artifacts:
                self._record(step, FAILED, {}, f"there is no artifact {name}\n")
                return FAILED
            for path in sorted(self._made.artifacts[name].rglob("*")):
                relative = path.relative_to(self._made.artifacts[name])
                if path.is_file() and pattern.fullmatch(str(relative if step.artifact else Path(name, relative))):
                    target = self._workspace / name / relative
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, target)
        self._record(step, SUCCEEDED, {}, "")
        return SUCCEEDED

    def _record(self, step: Step, result: str, env: Mapping[str, str], log: str) -> None:
        node = self._name if self._in_matrix else self._job.name
        title = self._filled(step.title)
        self._made.steps.append(
            StepRun(stage=self._stage.name, node=node, title=title, result=result, env=env, log=log)
        )

    def _environment(self, step: Step) -> dict[str, str]:
        """All variables but secret ones, with the names of environment variables; then what the step declares."""
        image = {name: value for name, value in os.environ.items() if _IMAGE.fullmatch(name)}
        variables = {re.sub(r"\W", "_", name).upper(): self._filled(value) for name, value in self._variables.items()}
        path = f"{self._tools}/python/bin:{Path(sys.base_prefix, 'bin')}:/usr/local/bin:/usr/bin:/bin"
        agent = {"HOME": str(self._home), "LANG": "C.UTF-8", "PATH": path, "TF_BUILD": "True"}
        declared = {name: self._filled(value, secrets=True) for name, value in step.env.items()}
        return {**image, **variables, **agent, **declared}

    def _filled(self, text: str, *, secrets: bool = False) -> str:
        """Replace macros by their variables' values; one without a variable stays as it is."""
        known = {name.lower(): value for name, value in self._variables.items()}
        hidden = {name.lower(): value for name, value in self._event.secrets.items()}
        if not secrets:
            named = {name.lower() for name in _MACRO.findall(text)}
            assert not named & hidden.keys(), f"{text!r} puts a secret where everybody sees it"

        def value(match: re.Match[str]) -> str:
            name = match[1].lower()
            return hidden[name] if name in hidden else self._filled(known[name]) if name in known else match[0]

        return _MACRO.sub(value, text)

    def _scope(self) -> Scope:
        """What a step's condition sees."""
        going = self.result in {SUCCEEDED, ISSUES}
        status = {
            "succeeded": lambda _: going,
            "succeededOrFailed": lambda _: True,
            "failed": lambda _: not going,
            "always": lambda _: True,
            "canceled": lambda _: False,
        }
        return Scope(values={"variables": self._variables}, status=status)


def _stage_scope(pipeline: Pipeline, event: Event, made: Run, stage: Stage) -> Scope:
    """What a stage's condition and its jobs' matrices see: results and outputs of the stages that it depends on."""
    before = _ancestors(pipeline, stage)

    def of(names: Sequence[str]) -> list[str]:
        return [made.stages[name] for name in (names or before)]

    outputs = {
        name: {f"{job}.{output}": value for job, all_ in jobs.items() for output, value in all_.items()}
        for name, jobs in made.outputs.items()
    }
    dependencies = {
        name: {"result": made.stages[name], "outputs": outputs.get(name, {})} for name in stage.depends_on
    }
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


def _condition(text: str, scope: Scope) -> bool:
    return is_true(evaluate(text, scope))


def _runtime(text: str, scope: Scope) -> str:
    found = _RUNTIME.fullmatch(text)
    assert found is not None, f"{text!r} is no runtime expression"
    value = evaluate(found[1], scope)
    return "" if value is None else str(value)


def _interpreter(version: str) -> Path:
    """Return the interpreter of a version, or the tests' own; what a version manager puts on PATH may not start."""
    found = [Path(directory, f"python{version}") for directory in os.environ["PATH"].split(":")]
    ready = (path for path in found if path.is_file() and not subprocess.run([path, "-c", ""], check=False).returncode)
    return next(ready, Path(sys.base_prefix, "bin", "python3"))


def _glob(pattern: str) -> re.Pattern[str]:
    """Return a pattern of paths: ``**`` is any number of folders, ``*`` a part of a name."""
    parts = re.split(r"(\*\*|\*)", pattern)
    return re.compile("".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts))
