"""Installers that resolve and lock, poetry and pdm, install from an index of ours that is being served."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.publish import main
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
POETRY = """
[tool.poetry]
package-mode = false
[tool.poetry.dependencies]
python = "*"
demo = "*"
[[tool.poetry.source]]
name = "ours"
url = "{url}"
priority = "primary"
"""
PDM = """
[project]
name = "x"
version = "1"
requires-python = ">=3.9"
dependencies = ["demo"]
[tool.pdm]
distribution = false
[[tool.pdm.source]]
name = "pypi"
url = "{url}"
verify_ssl = false
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an index with a yanked version, and one before it that needs another project."""
    folder = tmp_path_factory.mktemp("installers")
    wheels, where = folder / "dist" / "wheels", ["--index", str(folder / "index"), "--quiet"]
    make_wheel(wheels, "demo", "1.0", headers="Requires-Dist: other\n")
    make_wheel(wheels, "demo", "2.0")
    make_wheel(wheels, "other", "1.0")
    assert main([*where, "--dist", str(folder / "dist")]) == 0
    assert main([*where, "--yank", "demo-2.0-py3-none-any.whl", "--reason", "broken"]) == 0
    command = [sys.executable, "-m", "tasks.publish", "--serve", "--json", "--port", "0", *where[:2]]
    told = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=told) as server:
        assert server.stdout is not None
        yield json.loads("".join(iter(server.stdout.readline, "}\n")) + "}")["url"]
        server.terminate()


def install(folder: Path, *command: str) -> Path:
    """Run an installer in a folder with an empty home, and return the environment that it fills."""
    python = folder / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", python], check=True)
    dropped = ("PIP_", "UV_", "POETRY_", "PDM_", "VIRTUAL_ENV", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    home = {"HOME": str(folder), "NO_PROXY": "127.0.0.1", "POETRY_VIRTUALENVS_IN_PROJECT": "true"}
    pdm = {"PDM_CHECK_UPDATE": "0", "PDM_IGNORE_SAVED_PYTHON": "1", "PDM_CACHE_DIR": str(folder / "cache")}
    told = {**kept, **home, **pdm, "VIRTUAL_ENV": str(python), "PATH": f"{python}/bin:{kept['PATH']}"}
    ran = subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return python


def versions(environment: Path) -> Sequence[str]:
    """Return the distributions in an environment."""
    return sorted(path.name for path in environment.glob("lib/python*/site-packages/*.dist-info"))


EXPECTED = ["demo-1.0.dist-info", "other-1.0.dist-info"]


def test_poetry_installs_the_newest_version_that_is_not_yanked_and_what_it_needs(url: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(POETRY.format(url=url))

    environment = install(tmp_path, str(BIN / "poetry"), "install", "--no-interaction")

    assert versions(environment) == EXPECTED


def test_pdm_installs_the_newest_version_that_is_not_yanked_and_what_it_needs(url: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PDM.format(url=url))

    environment = install(tmp_path, str(BIN / "pdm"), "install", "--no-self")

    assert versions(environment) == EXPECTED
