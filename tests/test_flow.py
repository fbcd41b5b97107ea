"""The whole, as a newcomer meets it: a fresh copy, an empty home, one command; then installers on what came out."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PACKAGES = ("MarkupSafe", "PyYAML", "coverage", "lazy-object-proxy")
COMPONENTS = ("acme.release.notes", "acme.release.version", "acme.text.slug", "acme.tools.release")
MODULES = ("coverage.tracer", "lazy_object_proxy.cext", "markupsafe._speedups", "yaml")
INSTALLERS: dict[str, tuple[str, ...]] = {
    "pip": (sys.executable, "-m", "pip"),
    "uv": (sys.executable, "-m", "uv", "pip"),
}


class Clone:
    """A copy of the files that git knows, used with an empty home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clone"
        self.home = folder / "home"
        self.home.mkdir()
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.folder / name)

    def environment(self, **more: str) -> dict[str, str]:
        dropped = ("SPARE_TIRE_", "TF_BUILD", "GITHUB_", "NOX", "VIRTUAL_ENV", "XDG_", "SOURCE_DATE_EPOCH", "COVERAGE_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        interpreter = str(Path(sys.base_prefix, "bin"))  # one is enough: the others only take time
        return {**kept, "HOME": str(self.home), "PATH": f"{interpreter}:/usr/local/bin:/usr/bin:/bin", **more}

    def run(self, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv, cwd=self.folder, env=self.environment(**more), capture_output=True, text=True, check=False
        )

    def nox(self, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "nox", *argv, **more)

    def files(self, *under: str) -> dict[str, tuple[str, int]]:
        """The sha256 and the time of change of every file, by path."""
        found = {}
        for path in sorted(self.folder.joinpath(*under).rglob("*")):
            if path.is_file():
                name = str(path.relative_to(self.folder))
                found[name] = (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        return found


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    made = Clone(tmp_path_factory.mktemp("flow"))
    done = made.nox()
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="module")
def served(clone: Clone) -> Iterator[str]:
    """The index's URL while ``publish -- --serve`` runs; the JSON document ends with a brace on a line of its own."""
    python = clone.folder / ".nox/publish/bin/python"
    process = subprocess.Popen(
        [python, "-m", "tasks.publish", "--serve", "--port", "0", "--json"],
        cwd=clone.folder,
        env=clone.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = "".join(iter(process.stdout.readline, "}\n")) + "}"
        yield json.loads(said)["url"]
    finally:
        process.terminate()
        process.communicate(timeout=10)


def installed(installer: str, index: str, folder: Path, clone: Clone) -> subprocess.CompletedProcess[str]:
    """Install the four packages into a new environment; pip's own configuration must not help."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    where = ["--python", str(python), "install"]
    if installer == "uv":
        where = ["install", "--python", str(python), "--no-cache"]
    options = ("--index-url", index, "--no-deps", "--only-binary", ":all:")
    command = (*INSTALLERS[installer], *where, *options, *PACKAGES)
    isolated = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_FIND_LINKS": "", "UV_SYSTEM_CERTS": "1"}
    return clone.run(*command, **isolated)


@pytest.mark.parametrize("installer", INSTALLERS)
@pytest.mark.parametrize("how", ["directory", "served"])
def test_what_was_built_here_installs_and_imports(
    clone: Clone, request: pytest.FixtureRequest, tmp_path: Path, installer: str, how: str
) -> None:
    index = f"file://{clone.folder}/dist/index/simple" if how == "directory" else request.getfixturevalue("served")
    done = installed(installer, index, tmp_path / "env", clone)
    assert done.returncode == 0, done.stdout + done.stderr
    imported = clone.run(str(tmp_path / "env/bin/python"), "-c", f"import {', '.join(MODULES)}")
    assert imported.returncode == 0, imported.stderr


@pytest.mark.parametrize("installer", INSTALLERS)
def test_a_wheel_that_was_tampered_with_is_refused_by_installers(clone: Clone, tmp_path: Path, installer: str) -> None:
    copy = tmp_path / "index"
    shutil.copytree(clone.folder / "dist/index", copy)
    for wheel in (copy / "packages").glob("*.whl"):
        wheel.write_bytes(wheel.read_bytes() + b"\0")
    done = installed(installer, f"file://{copy}/simple", tmp_path / "env", clone)
    assert done.returncode != 0
    assert "hash" in (done.stdout + done.stderr).lower()


def test_the_command_again_builds_nothing_and_rewrites_no_file_of_the_index(clone: Clone) -> None:
    before = clone.files("dist")
    done = clone.nox()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing to build" in done.stdout
    assert clone.files("dist") == before


def test_another_build_of_the_plan_in_another_place_gives_the_same_wheels(clone: Clone, tmp_path: Path) -> None:
    python = str(clone.folder / ".nox/plan/bin/python")
    here = ("--target", "host", "--target", "components")
    planned = clone.run(python, "-m", "tasks.plan", *here, "--index", "nowhere", "--plan", "again.json")
    assert planned.returncode == 0, planned.stderr
    (tmp_path / "t").mkdir()
    build = (str(clone.folder / ".nox/build/bin/python"), "-m", "tasks.build", "--plan", "again.json", "--dist")
    built = clone.run(*build, str(tmp_path / "dist"), TMPDIR=str(tmp_path / "t"))
    assert built.returncode == 0, built.stdout + built.stderr
    first = {path.name: path.read_bytes() for path in (clone.folder / "dist/wheels").glob("*.whl")}
    again = {path.name: path.read_bytes() for path in (tmp_path / "dist/wheels").glob("*.whl")}
    assert first == again
    assert {name.split("-", 1)[0].lower() for name in first} == {
        package.replace("-", "_").replace(".", "_").lower() for package in (*PACKAGES, *COMPONENTS)
    }


def test_with_a_fixed_epoch_two_indexes_are_equal_byte_by_byte(clone: Clone) -> None:
    python = str(clone.folder / ".nox/publish/bin/python")
    for index in ("one", "two"):
        done = clone.run(python, "-m", "tasks.publish", "--index", f"indexes/{index}", SOURCE_DATE_EPOCH="1700000000")
        assert done.returncode == 0, done.stderr
    one, two = (
        {
            path.removeprefix(f"indexes/{index}/"): digest
            for path, (digest, _) in clone.files(f"indexes/{index}").items()
        }
        for index in ("one", "two")
    )
    assert one == two
    assert "simple/markupsafe/index.html" in one


def test_the_freebsd_part_of_the_matrix_is_108_wheels_less_the_pins_that_equal_latest(clone: Clone) -> None:
    python = str(clone.folder / ".nox/plan/bin/python")
    done = clone.run(python, "-m", "tasks.plan", "--target", "freebsd-*", "--index", "nowhere", "--plan", "f.json")
    assert done.returncode == 0, done.stderr
    plan = json.loads((clone.folder / "f.json").read_bytes())
    same = [skipped for skipped in plan["skipped"] if skipped["state"] == "same"]
    assert len(plan["skipped"]) == len(same)
    assert len(plan["actions"]) == 108 - len(same)
    assert len(same) % 6 == 0
