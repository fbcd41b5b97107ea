"""The public index where nothing names one: the constant of pypi-simple, since the code names no host."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

_DEFAULT = "PYPI_SIMPLE_ENDPOINT"


def default_index() -> str:
    """Return the index that pypi-simple takes by default, without importing it, which would take 0.25 s."""
    spec = importlib.util.find_spec("pypi_simple")
    if spec is not None and spec.origin is not None:
        for node in ast.parse(Path(spec.origin).read_bytes()).body:
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == _DEFAULT and node.value is not None:
                return str(ast.literal_eval(node.value))
    from pypi_simple import PYPI_SIMPLE_ENDPOINT  # noqa: PLC0415 - heavy, and seldom needed

    return PYPI_SIMPLE_ENDPOINT
