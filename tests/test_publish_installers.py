from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tasks.publish import main
from tests.publishes import digest, environment, folder_to_publish_in
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return folder_to_publish_in(tmp_path, monkeypatch)


def pip_install(here: Path, index: str, *requirements: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-cache-dir"]
    command += ["--index-url", index, "--no-deps", "--only-binary", ":all:", "--target", str(here / "site")]
    return subprocess.run([*command, *requirements], env=environment(), capture_output=True, text=True, check=False)


def uv_install(here: Path, index: str, *requirements: str) -> subprocess.CompletedProcess[str]:
    command = ["uv", "pip", "install", "--no-config", "--no-cache", "--python", sys.executable]
    command += ["--index-url", index, "--no-deps", "--only-binary", ":all:", "--target", str(here / "site")]
    return subprocess.run([*command, *requirements], env=environment(), capture_output=True, text=True, check=False)


Install = Callable[..., "subprocess.CompletedProcess[str]"]
INSTALLERS = [
    pytest.param(pip_install, id="pip"),
    pytest.param(uv_install, id="uv", marks=pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not here")),
]


@pytest.mark.parametrize("install", INSTALLERS)
def test_an_installer_takes_the_newest_wheel_from_the_directory(here: Path, install: Install) -> None:
    make_wheel(here / "dist" / "wheels", "Demo.Project", "1.9")
    make_wheel(here / "dist" / "wheels", "Demo.Project", "1.10")
    main([])

    ran = install(here, (here / "dist" / "index" / "simple").as_uri(), "demo-project")

    assert ran.returncode == 0, ran.stderr
    assert (here / "site" / "demo.project.py").read_text() == "VERSION = '1.10'\n"


def test_pip_notices_a_wheel_that_was_tampered_with(here: Path) -> None:
    wheel = make_wheel(here / "dist" / "wheels")
    main([])
    make_wheel(here / "dist" / "index" / "packages", text="evil = True\n")

    ran = pip_install(here, (here / "dist" / "index" / "simple").as_uri(), "demo")

    assert ran.returncode != 0
    assert f"Expected sha256 {digest(wheel)}" in ran.stderr
    assert not (here / "site").exists()


def test_a_local_version_is_installed_from_its_quoted_link(here: Path) -> None:
    make_wheel(here / "dist" / "wheels", version="1.0+cu1")

    assert main([]) == 0

    assert (
        b'href="../../packages/demo-1.0%2Bcu1-py3-none-any.whl#sha256='
        in (here / "dist/index/simple/demo/index.html").read_bytes()
    )
    assert pip_install(here, (here / "dist/index/simple").as_uri(), "demo").returncode == 0
