"""CI systems: what they are told, in their own words, and nobody else is."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

Nodes = dict[str, dict[str, str]]


def tell(nodes: Nodes, summary: str, *, result_on_stdout: bool, environ: Mapping[str, str] = os.environ) -> None:
    """Hand the build stage's nodes to the CI that this runs on, if it is one.

    ``summary`` is Markdown. Azure Pipelines reads commands from either stream: they go to standard error where standard
    output carries a result.
    """
    if "TF_BUILD" in environ:
        _tell_azure(nodes, sys.stderr if result_on_stdout else sys.stdout)
    if "GITHUB_OUTPUT" in environ:
        _append("GITHUB_OUTPUT", environ, _github_outputs(nodes))
    if "GITHUB_STEP_SUMMARY" in environ:
        _append("GITHUB_STEP_SUMMARY", environ, summary)


def _tell_azure(nodes: Nodes, stream: TextIO) -> None:
    """https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands, ``task.setvariable``."""
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
