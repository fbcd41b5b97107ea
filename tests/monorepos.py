"""Monorepos on disk for the tests of ``components``: the example of this repository, and small ones."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.monorepo.trees import CONFORMING

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = Path(__file__).parent.parent / "examples" / "monorepo"
ROOT = "src/main/python"
MATRIX = """\
components:
  root: src/main/python
  version_file: .version
  dependants: [src/test/python]
"""


def write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


def write_monorepo(folder: Path, files: Mapping[str, str | bytes] = CONFORMING) -> None:
    """Write a monorepo with its matrix, its version and its requirements."""
    write(folder, {"wheel_matrix.yml": MATRIX, ".version": "1.2.0-snapshot\n"})
    write(folder, {"3rdparty/python/requirements.txt": "PyYAML==6.0.3\nrequests\n"})
    write(folder, files)


def copy_example(folder: Path) -> None:
    """Copy the example of this repository, with a matrix of its own."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    write(folder, {"wheel_matrix.yml": MATRIX})
