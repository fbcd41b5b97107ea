"""Packages of the shipped matrix, from the plan to checked wheels, built on hosts of two processors."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import parse_wheel_filename

from tests.builds import pack
from tests.system.hosts import make_host
from tests.system.near_index import near_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.system.hosts import Host
    from tests.system.near_index import NearIndex

ROOT = Path(__file__).parents[2]
INSTANCE = "debian/12"
MACHINES = {62: "x86-64", 183: "AArch64"}  # e_machine of <elf.h>


@pytest.fixture(scope="module")
def arm(hosts: None) -> Iterator[Host]:  # noqa: ARG001 - it comes first
    """Return a host that is emulated."""
    with make_host("arm64") as turned_on:
        yield turned_on


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


SHIPPED: dict[str, dict[str, Any]] = {
    "cffi": {"build": {"system_packages": ["libffi-dev"]}},
    "coverage": {},
    "lazy-object-proxy": {},
    "MarkupSafe": {},
    "PyYAML": {
        "build": {"system_packages": ["libyaml-dev"], "env": {"PYYAML_FORCE_LIBYAML": "1"}},
        "check": {"run": "python -c 'import yaml; assert yaml.__with_libyaml__'"},
    },
}
"""The shipped matrix's packages that are C alone. bcrypt and cryptography take crates, whose registry no host reaches."""
SODIUM = {"PyNaCl": {"abi": "abi3", "build": {"system_packages": ["libffi-dev", "make"]}}}
"""It brings libsodium along, whose build takes a minute, and ten where the processor is emulated."""


def test_shipped_packages_are_built_on_a_host(host: Host, tmp_path: Path) -> None:
    packages = {name: {"versions": ["latest"], **said} for name, said in {**SHIPPED, **SODIUM}.items()}
    with near_index(host) as index:
        write_matrix(tmp_path, host, index, "x86_64", packages)
        wheels = built(tmp_path, "x86_64")
    assert set(wheels) == set(packages)
    assert tags([wheels.pop("PyNaCl")]) == {"cp311-abi3-linux_x86_64"}
    assert tags(wheels.values()) == {"cp311-cp311-linux_x86_64"}
    assert [processors(wheel) for wheel in wheels.values()] == [{"x86-64"}] * 5


@pytest.mark.needs("qemu-aarch64-static")
def test_shipped_packages_are_built_on_a_host_of_another_processor(arm: Host, tmp_path: Path) -> None:
    packages = {name: {"versions": ["latest"], **said} for name, said in SHIPPED.items()}
    with near_index(arm) as index:
        write_matrix(tmp_path, arm, index, "aarch64", packages)
        wheels = built(tmp_path, "aarch64")
    assert set(wheels) == set(packages)
    assert tags(wheels.values()) == {"cp311-cp311-linux_aarch64"}
    assert [processors(wheel) for wheel in wheels.values()] == [{"AArch64"}] * 5


def test_a_requirement_without_a_wheel_is_built_there_first(host: Host, tmp_path: Path) -> None:
    """As on a platform that the index has no wheel of cffi for."""
    with near_index(host, withheld=["cffi-*.whl"]) as index:
        argon = {"versions": ["latest"], "build": {"system_packages": ["libffi-dev"]}}
        write_matrix(tmp_path, host, index, "x86_64", {"argon2-cffi-bindings": argon})
        (wheel,) = built(tmp_path, "x86_64").values()
        (cffi,) = (name for name in index.fetched if name.startswith("cffi-"))
    assert cffi.endswith(".tar.gz")
    assert built_first(wheel) == {cffi: index.digest(cffi)}
    assert processors(wheel) == {"x86-64"}


# ── A build requirement that is a program, written in Rust: as maturin is, without the crates that it takes ───────────

WRITE_WHEEL = """
import base64, hashlib, os, subprocess, sysconfig, zipfile

PLATFORM = sysconfig.get_platform().replace("-", "_")

def write_wheel(directory, name, tag, files):
    info = name + "-1.0.dist-info/"
    files[info + "METADATA"] = b"Metadata-Version: 2.1\\nName: %s\\nVersion: 1.0\\n" % name.encode()
    files[info + "WHEEL"] = b"Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: %s\\n" % tag.encode()
    rows = ""
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows += "%s,sha256=%s,%d\\n" % (path, digest, len(data))
    files[info + "RECORD"] = (rows + info + "RECORD,,\\n").encode()
    filename = "%s-1.0-%s.whl" % (name, tag)
    with zipfile.ZipFile(os.path.join(directory, filename), "w") as archive:
        for path, data in files.items():
            member = zipfile.ZipInfo(path)
            member.external_attr = 0o755 << 16
            archive.writestr(member, data)
    return filename
"""
BUILDS_MILL = """
def build_wheel(directory, config_settings=None, metadata_directory=None):
    subprocess.run(["cargo", "build", "--release", "--offline"], check=True)
    program = open("target/release/mill", "rb").read()
    return write_wheel(directory, "mill", "py3-none-" + PLATFORM, {"mill-1.0.data/scripts/mill": program})
"""
BUILDS_MILLED = """
def build_wheel(directory, config_settings=None, metadata_directory=None):
    source = subprocess.run(["mill", "milled"], check=True, stdout=subprocess.PIPE).stdout
    include = "-I" + sysconfig.get_path("include")
    subprocess.run(["cc", "-shared", "-fPIC", include, "-xc", "-", "-o", "milled.so"], check=True, input=source)
    module = {"milled" + sysconfig.get_config_var("EXT_SUFFIX"): open("milled.so", "rb").read()}
    return write_wheel(directory, "milled", "cp311-cp311-" + PLATFORM, module)
"""
MILL = """
fn main() {
    let name = std::env::args().nth(1).unwrap();
    println!("#include <Python.h>");
    println!("static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, \\"{name}\\", \\"\\", -1}};");
    println!("PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModule_Create(&module); }}");
}
"""
CARGO = '[package]\nname = "mill"\nversion = "1.0.0"\nedition = "2021"\n'
PROJECT = '[build-system]\nrequires = {}\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def sdists(folder: Path) -> dict[str, Path]:
    """Write the sdists of ``mill``, a program, and of ``milled``, which it takes to build."""
    mill = {"Cargo.toml": CARGO, "src/main.rs": MILL, "backend.py": WRITE_WHEEL + BUILDS_MILL}
    milled = {"pyproject.toml": PROJECT.format('["mill"]'), "backend.py": WRITE_WHEEL + BUILDS_MILLED, "x.c": ""}
    return {
        "mill": pack(folder, "mill", "1.0", {"pyproject.toml": PROJECT.format("[]"), **mill}),
        "milled": pack(folder, "milled", "1.0", milled),
    }


@pytest.fixture
def rust() -> Path:
    """Return the directory of a Rust toolchain; on a CI, fail where there is none."""
    missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
    if shutil.which("rustc") is None:
        missing("rustc is not on PATH; rustup brings one with a directory of its own")
    found = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True)
    folder = Path(found.stdout.strip())
    if not (folder / "bin/cargo").is_file() or folder == Path("/usr"):
        missing(f"the Rust toolchain in {folder} has no directory of its own, as rustup's has")
    return folder


def test_a_program_that_a_build_requires_is_built_there_first(host: Host, rust: Path, tmp_path: Path) -> None:
    host.lend(rust, "/opt/rust")
    host.run("ln -s /opt/rust/bin/cargo /opt/rust/bin/rustc /usr/local/bin/")
    made = sdists(tmp_path / "sdists")
    with near_index(host, own=made) as index:
        write_matrix(tmp_path, host, index, "x86_64", {"milled": {"versions": ["latest"]}})
        (wheel,) = built(tmp_path, "x86_64").values()
    assert built_first(wheel) == {"mill-1.0.tar.gz": index.digest("mill-1.0.tar.gz")}
    assert processors(wheel) == {"x86-64"}
