"""One job on one agent of its own: an empty home, a fresh clone, and of our environment only the way to package indexes.

Scripts are real processes. What they print is read for logging commands.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.pipeline.commands import commands
from tests.pipeline.expressions import Scope, holds, runtime
from tests.pipeline.results import FAILED, ISSUES, SKIPPED, SUCCEEDED, StepRun, worst

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.pipeline.azure_file import Job, Pipeline, Stage, Step
    from tests.pipeline.commands import Command
    from tests.pipeline.results import Event, Run

Done = tuple[str, dict[str, str], str]
"""A step's result, what its process was given, and what it printed."""

_MACRO = re.compile(r"\$\(([\w.]+)\)")
_LIMIT = 1200  # seconds for one step

# How this machine reaches package indexes; an agent has that in its image.
_IMAGE = re.compile(r"(PIP|UV|SSL|REQUESTS|CURL)_\w+|\w+_proxy|\w+_PROXY")


class Node:
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
            "Build.Repository.Provider": "GitHub",
            "Build.SourceBranch": event.ref,
            "Build.SourceBranchName": event.ref.rpartition("/")[2],
            "Build.SourcesDirectory": str(self._workspace / "s"),
            "Pipeline.Workspace": str(self._workspace),
            "System.CollectionUri": "https://dev.azure.com/team/",
            "System.JobAttempt": "1",
            "System.JobIdentifier": f"{stage.name}.{job.name}.{name}",
            "System.JobName": name,
            "System.JobPositionInPhase": str(position),
            "System.StageName": stage.name,
            "System.TaskInstanceId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{stage.name}/{job.name}/{name}")),
            "System.TeamProject": "wheels",
        }
        # Later ones win: the page's, the file's, the leg's.
        self._variables = {**event.variables}
        scope = self._scope()
        for variable, value in pipeline.variables.items():
            self._variables[variable] = runtime(value, scope) if value.startswith("$[") else value
        self._variables |= {**leg, **system}

    def run(self) -> str:
        for directory in (self._home, self._temp, self._tools, self._workspace):
            directory.mkdir(parents=True)
        assert "$(" not in self._filled(self._job.image), f"the image {self._job.image} has a variable without a value"
        clone = ["git", "clone", "--quiet", f"file://{self._repository}", str(self._workspace / "s")]
        subprocess.run(clone, check=True)
        kinds = {"script": self._script, "task": self._task, "publish": self._publish, "download": self._download}
        for step in self._job.steps:
            if holds(step.condition, self._scope()):
                result, env, log = kinds[step.kind](step)
                if result == FAILED and step.goes_on:
                    result = ISSUES
                self.result = worst([self.result, result])
                self._record(step, result, env, log)
            else:
                self._record(step, SKIPPED, {}, "")
        return self.result

    def _script(self, step: Step) -> Done:
        script = self._temp / "script.sh"
        script.write_text(self._filled(step.value), encoding="utf-8")
        env = self._environment(step)
        command = ["bash", "--noprofile", "--norc", str(script)]
        results, log = [], []
        with subprocess.Popen(
            command,
            cwd=self._workspace / "s",
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            limit = threading.Timer(_LIMIT, process.kill)
            limit.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    log.append(line)
                    results += [result for each in commands(line) if (result := self._obey(step, each))]
                process.wait()
            finally:
                limit.cancel()
                process.kill()  # where the harness has failed
        results.append(SUCCEEDED if process.returncode == 0 else FAILED)
        return worst(results), env, "".join(log)

    def _obey(self, step: Step, command: Command) -> str | None:
        """Do what a step has told its agent, as soon as it has; return the result that it asks for, if it does."""
        if command.name == "task.setvariable":
            assert command.properties["isoutput"] == "true"
            self._set_output(step, command.properties["variable"], command.value)
        elif command.name == "task.uploadsummary":
            assert Path(command.value).is_absolute()
            self._made.summaries.append(Path(command.value).read_text(encoding="utf-8"))
        elif command.name == "task.addattachment":  # how ansible-test proves to core-ci which run it belongs to
            self._event.attached(command.properties["name"], Path(command.value).read_text(encoding="utf-8"))
        elif command.name == "task.complete":
            return command.properties["result"]
        else:
            raise AssertionError(f"Azure's agent is told {command}, which this harness does not know")
        return None

    def _set_output(self, step: Step, variable: str, value: str) -> None:
        assert step.name, f"the step {step.title} has outputs and no name"
        name = f"{self._name}.{step.name}.{variable}" if self._in_matrix else f"{step.name}.{variable}"
        self._made.outputs.setdefault(self._stage.name, {}).setdefault(self._job.name, {})[name] = value

    def _task(self, step: Step) -> Done:
        if step.value == "DownloadPipelineArtifact@2":
            assert step.inputs.keys() == {"buildType", "itemPattern", "targetPath"}
            assert step.inputs["buildType"] == "current"
            folder = Path(self._filled(step.inputs["targetPath"]))
            folder.mkdir(parents=True, exist_ok=True)
            pattern = _glob(step.inputs["itemPattern"])  # of paths that begin with the artifact's name
            for name, kept in sorted(self._made.artifacts.items()):
                for path in sorted(kept.rglob("*")):
                    relative = Path(name, path.relative_to(kept))
                    if path.is_file() and pattern.fullmatch(str(relative)):
                        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy2(path, folder / relative)
            return SUCCEEDED, {}, ""
        if step.value == "PublishTestResults@2":
            for path in sorted((self._workspace / "s").glob(self._filled(step.inputs["testResultsFiles"]))):
                tests = ET.parse(path).iter("testcase")  # noqa: S314 - a test reads what a test wrote
                self._made.tests |= {
                    str(case.get("name")): "failed" if case.find("failure") is not None else "passed" for case in tests
                }
            return SUCCEEDED, {}, ""
        assert step.value == "UsePythonVersion@0", f"the harness does not know the task {step.value}"
        python = _interpreter(step.inputs["versionSpec"])
        subprocess.run([python, "-m", "venv", str(self._tools / "python")], check=True)
        return SUCCEEDED, {}, ""

    def _publish(self, step: Step) -> Done:
        name = self._filled(step.artifact or "")
        source = self._workspace / "s" / step.value
        assert re.fullmatch(r"[\w.-]+", name), f"{name!r} cannot be an artifact's name"
        kept = self._made.folder / "artifacts" / name
        if not source.exists() or kept.exists():
            why = f"{name} is there already" if kept.exists() else f"there is no {step.value}"
            return FAILED, {}, f"{why}\n"
        kept.mkdir(parents=True)
        if source.is_dir():
            shutil.copytree(source, kept, dirs_exist_ok=True)
        else:
            shutil.copy2(source, kept)
        self._made.artifacts[name] = kept
        return SUCCEEDED, {}, ""

    def _download(self, step: Step) -> Done:
        assert step.value == "current"
        name = step.artifact or ""
        if name not in self._made.artifacts:
            return FAILED, {}, f"there is no artifact {name}\n"
        shutil.copytree(self._made.artifacts[name], self._workspace / name, dirs_exist_ok=True)
        return SUCCEEDED, {}, ""

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


def _interpreter(version: str) -> Path:
    """Return the interpreter of a version, or the tests' own; what a version manager puts on PATH may not start."""
    found = [Path(directory, f"python{version}") for directory in os.environ["PATH"].split(":")]
    ready = (path for path in found if path.is_file() and not subprocess.run([path, "-c", ""], check=False).returncode)
    return next(ready, Path(sys.base_prefix, "bin", "python3"))


def _glob(pattern: str) -> re.Pattern[str]:
    """Return a pattern of paths: ``**`` is any number of folders, ``*`` a part of a name."""
    parts = re.split(r"(\*\*|\*)", pattern)
    return re.compile("".join({"**": ".*", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts))
