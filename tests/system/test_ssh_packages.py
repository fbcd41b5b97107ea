"""Packages of the shipped matrix, from the plan to checked wheels, built on hosts of two processors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.builds import pack
from tests.system.near_index import near_index
from tests.system.package_builds import built, built_first, processors, tags, write_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.hosts import Host

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
"""The shipped matrix's packages that are C alone. bcrypt and cryptography take crates: `test_ssh_crates`."""
SODIUM = {"PyNaCl": {"abi": "abi3", "build": {"system_packages": ["libffi-dev", "make"]}}}
"""It brings libsodium along, whose build takes a minute, and twenty or more where the processor is emulated."""
SYSTEM_SODIUM = {
    "PyNaCl": {
        "abi": "abi3",
        "build": {"system_packages": ["libffi-dev", "libsodium-dev"], "env": {"SODIUM_INSTALL": "system"}},
    }
}
"""The same with the system's libsodium."""


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
    packages = {name: {"versions": ["latest"], **said} for name, said in {**SHIPPED, **SYSTEM_SODIUM}.items()}
    with near_index(arm) as index:
        write_matrix(tmp_path, arm, index, "aarch64", packages)
        wheels = built(tmp_path, "aarch64")
    assert set(wheels) == set(packages)
    assert processors(sodium := wheels.pop("PyNaCl")) == {"AArch64"}
    assert tags([sodium]) == {"cp311-abi3-linux_aarch64"}
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


def test_a_program_that_a_build_requires_is_built_there_first(host: Host, rust: Path, tmp_path: Path) -> None:
    host.lend(rust, "/opt/rust")
    host.run("ln -s /opt/rust/bin/cargo /opt/rust/bin/rustc /usr/local/bin/")
    made = sdists(tmp_path / "sdists")
    with near_index(host, own=made) as index:
        write_matrix(tmp_path, host, index, "x86_64", {"milled": {"versions": ["latest"]}})
        (wheel,) = built(tmp_path, "x86_64").values()
    assert built_first(wheel) == {"mill-1.0.tar.gz": index.digest("mill-1.0.tar.gz")}
    assert processors(wheel) == {"x86-64"}
