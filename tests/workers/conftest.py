"""What the tests of workers share: wheels to build with, fetched once."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with the wheel of setuptools."""
    folder = tmp_path_factory.mktemp("wheelhouse")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", f"--dest={folder}"]
    subprocess.run([*pip, "setuptools"], check=True)
    return folder


@pytest.fixture(scope="session")
def real_sdists(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return real sdists with C extensions, by project."""
    folder = tmp_path_factory.mktemp("sdists")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:", f"--dest={folder}"]
    subprocess.run([*pip, "MarkupSafe==3.0.3", "lazy-object-proxy==1.12.0"], check=True)
    return {path.name.rsplit("-", 1)[0]: path for path in folder.iterdir()}
