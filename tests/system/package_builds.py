"""Packages of a matrix, from the plan to published wheels, built on a host; and what their wheels and records show."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.utils import parse_wheel_filename

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.system.hosts import Host
    from tests.system.near_index import NearIndex

ROOT = Path(__file__).parents[2]
INSTANCE = "debian/12"
MACHINES = {62: "x86-64", 183: "AArch64"}  # e_machine of <elf.h>


def stage(name: str, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a stage in a folder, as a user does."""
    dropped = ("TF_BUILD", "GITHUB_", "JOB_DATA", "SOURCE_DATE_EPOCH", "SPARE_TIRE_", "COVERAGE_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    (folder / "tmp").mkdir(exist_ok=True)
    told = {**kept, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp")}
    command = [sys.executable, "-m", f"tasks.{name}", "--json", *argv]
    return subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, check=False)


def write_matrix(folder: Path, host: Host, index: NearIndex, arch: str, packages: dict[str, Any]) -> None:
    """Write a matrix of one target, which is the host."""
    instance = host.instance(f"{INSTANCE},arch={arch}")
    target = {
        "instance": INSTANCE,
        "arch": arch,
        "platform_tag": f"linux_{arch}",
        "python": ["cp311"],
        "upstream": "ignore",
    }
    matrix = {
        "public_index": index.url,
        "instances": {instance.name: instance.to_dict()},
        "targets": {"there": target},
        "packages": packages,
    }
    (folder / "wheel_matrix.yml").write_text(json.dumps(matrix))  # JSON is YAML


def built(folder: Path, arch: str) -> dict[str, Path]:
    """Plan, build, and publish in an index of its own; return each package's wheel."""
    planned = stage("plan", folder)
    assert planned.returncode == 0, planned.stderr
    done = stage("build", folder, f"{INSTANCE},arch={arch}", "--verbose")
    assert done.returncode == 0, done.stderr
    published = stage("publish", folder, "--require-records")
    assert published.returncode == 0, published.stderr
    outcomes = {each["package"]: each for each in json.loads(done.stdout)["actions"]}
    assert {each["outcome"] for each in outcomes.values()} == {"built"}
    return {name: folder / "dist/wheels" / each["wheel"] for name, each in outcomes.items()}


def processors(wheel: Path) -> set[str]:
    """Return the processors of the libraries in a wheel, by their ELF headers."""
    with zipfile.ZipFile(wheel) as archive:
        headers = [archive.read(name)[:20] for name in archive.namelist() if name.endswith(".so")]
    return {MACHINES[struct.unpack_from("<H", header, 18)[0]] for header in headers}


def tags(wheels: Iterable[Path]) -> set[str]:
    """Return the tags of wheels."""
    return {str(tag) for wheel in wheels for tag in parse_wheel_filename(wheel.name)[3]}


def record_of(wheel: Path) -> dict[str, Any]:
    """Return the record of a wheel in ``dist``."""
    read: dict[str, Any] = json.loads((wheel.parents[1] / f"records/{wheel.name}.json").read_bytes())
    return read


def built_first(wheel: Path) -> dict[str, str]:
    """Return the sdists that a wheel's requirements were built from, with their digests."""
    listed = record_of(wheel)["predicate"]["buildDefinition"]["resolvedDependencies"]
    return {each["name"]: each["digest"]["sha256"] for each in listed[1:] if each["name"].endswith(".tar.gz")}
