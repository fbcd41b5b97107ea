"""CI systems: what they are told, in their own words, and nobody else is.

Azure Pipelines reads commands from both streams. Ours go to standard output, and to standard error where standard
output carries a result: https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tasks.core.errors import BadInput, Failed, ServiceFailed, SpareTireError
from tasks.core.markdown import text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import TextIO

Chosen = TypeVar("Chosen")
Terminal = TypeVar("Terminal")
Nodes = dict[str, dict[str, str]]

PARTLY: Mapping[str, Collection[int]] = {
    "plan": {Failed.exit_code},
    "build": {Failed.exit_code, ServiceFailed.exit_code},
    "publish": {Failed.exit_code},
}
"""By stage the exit codes with which the stages after it go on: on Azure Pipelines its step succeeds with issues.

A build that lost its machine is one; bad input and what a safety rule forbids make the step fail.
"""


def tell(nodes: Nodes, *, result_on_stdout: bool, environ: Mapping[str, str] = os.environ) -> None:
    """Hand the build stage's nodes to the CI that this runs on, if it is one."""
    if "TF_BUILD" in environ:
        _tell_azure(nodes, sys.stderr if result_on_stdout else sys.stdout)
    if "GITHUB_OUTPUT" in environ:
        _append("GITHUB_OUTPUT", environ, _github_outputs(nodes))


def summarize(name: str, report: str, *, result_on_stdout: bool, environ: Mapping[str, str] = os.environ) -> None:
    """Put Markdown on the page of the run; on Azure under a name, one of its kind in a job."""
    if "TF_BUILD" in environ:
        # Read when the step has ended, so it lies where only the job's end removes it.
        file = Path(environ.get("AGENT_TEMPDIRECTORY") or "build", f"{name}.md").absolute()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(report, encoding="utf-8")
        except OSError as error:
            raise BadInput(f"{file}: the summary cannot be written: {error.strerror}") from error
        print(f"##vso[task.uploadsummary]{file}", file=sys.stderr if result_on_stdout else sys.stdout, flush=True)
    if "GITHUB_STEP_SUMMARY" in environ:
        _append("GITHUB_STEP_SUMMARY", environ, report)


def telling(
    stage: str, run: Callable[[Chosen, Terminal], int], environ: Mapping[str, str] = os.environ
) -> Callable[[Chosen, Terminal], int]:
    """Return a stage that does as ``run``, and puts on the page of the run what stopped it."""

    def told(chosen: Chosen, terminal: Terminal) -> int:
        try:
            return run(chosen, terminal)
        except SpareTireError as error:
            lines = "\n".join(f"- {text(message)}" for message in error.messages)
            report = f"### {stage.capitalize()} was stopped\n\n{lines}\n"
            as_json = bool(getattr(chosen, "json", False))
            summarize(f"{stage}-stopped", report, result_on_stdout=as_json, environ=environ)  # beside what it has done
            raise

    return told


def ended(stage: str, code: int, environ: Mapping[str, str] = os.environ) -> int:
    """Tell Azure of a stage that has done a part of its work; return the exit code.

    Azure takes any other exit code than 0 for a failure, whatever it was told: once it was told, the code there is 0.
    """
    if code in PARTLY[stage] and "TF_BUILD" in environ:
        print("##vso[task.complete result=SucceededWithIssues]", file=sys.stderr, flush=True)
        return 0
    return code


def artifact(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return as Markdown, with a link where there is one, the artifact that the pipeline keeps ``dist`` in.

    Which one that is, the pipeline says in ``SPARE_TIRE_ARTIFACT``; ``None`` where it does not.
    """
    name = environ.get("SPARE_TIRE_ARTIFACT")
    if not name:
        return None
    azure = ("SYSTEM_COLLECTIONURI", "SYSTEM_TEAMPROJECT", "BUILD_BUILDID")
    github = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    if all(environ.get(variable) for variable in azure):
        server, project, run = (environ[variable] for variable in azure)
        query = f"buildId={run}&view=artifacts&type=publishedArtifacts"
        return f"[{name}]({server.rstrip('/')}/{project.replace(' ', '%20')}/_build/results?{query})"
    if all(environ.get(variable) for variable in github):
        server, project, run = (environ[variable] for variable in github)
        return f"[{name}]({server}/{project}/actions/runs/{run}#artifacts)"
    return f"`{name}`"


def _tell_azure(nodes: Nodes, stream: TextIO) -> None:
    print(f"##vso[task.setvariable variable=matrix;isOutput=true]{json.dumps(nodes, sort_keys=True)}", file=stream)
    if nodes:
        print("##vso[task.setvariable variable=matrix_has_jobs;isOutput=true]true", file=stream, flush=True)


def _github_outputs(nodes: Nodes) -> str:
    """Return the outputs ``matrix``, for ``strategy.matrix: fromJSON(…)``, and ``matrix_has_jobs``."""
    include = [{"name": name, **node} for name, node in nodes.items()]
    matrix = f"matrix={json.dumps({'include': include}, sort_keys=True)}\n"
    return f"{matrix}matrix_has_jobs=true\n" if nodes else matrix


def _append(variable: str, environ: Mapping[str, str], text: str) -> None:
    try:
        with Path(environ[variable]).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise BadInput(f"{variable} names {environ[variable]}, which cannot be written: {error.strerror}") from error
