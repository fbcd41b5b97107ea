"""The shipped matrix's packages in Rust, with crates of Debian's archive, built on hosts of two processors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.system.crates import cargo_settings, fit, make_crates, make_rust, patch_of, repack
from tests.system.near_index import near_index
from tests.system.package_builds import built, built_first, processors, tags, write_matrix

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from tests.system.crates import Crates
    from tests.system.hosts import Host
    from tests.system.near_index import NearIndex

pytestmark = [pytest.mark.crates, pytest.mark.usefixtures("rust")]
HOME = "/opt/cargo"
CARGO = {"CARGO_HOME": HOME, "CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0"}
"""What a build's ``env`` says: where cargo's configuration is, and not to take minutes for speed that no test needs."""


@pytest.fixture(scope="module")
def crates() -> Crates:
    """Return what Debian builds bcrypt, cryptography and maturin with."""
    return make_crates("bcrypt", "cryptography", "maturin")


def furnish(host: Host, crates: Crates) -> None:
    """Have cargo on a host take crates from a directory, by a configuration that a build's ``env`` names."""
    host.lend(crates.folder, "/opt/crates")
    home = host.files / HOME.lstrip("/")
    home.mkdir()
    (home / "config.toml").write_text(cargo_settings("/opt/crates"))


def fitted(name: str, crates: Crates, index: NearIndex, folder: Path, *, without: Collection[str] = ()) -> Path:
    """Return the tree of an sdist that the index has, fitted to the crates."""
    sdist = folder / f"{name}-{crates.versions[name]}.tar.gz"
    folder.mkdir()
    sdist.write_bytes(index.answer(f"/files/{name}/{sdist.name}") or b"")
    index.fetched.remove(sdist.name)
    return fit(sdist, crates, folder, without=without)


def package(name: str, crates: Crates, index: NearIndex, folder: Path, *system_packages: str) -> dict[str, Any]:
    """Return what a matrix says of a package, whose patch is written."""
    (folder / f"{name}.patch").write_text(patch_of(fitted(name, crates, index, folder / name)))
    build = {"patches": [f"{name}.patch"], "env": CARGO, "system_packages": ["patch", *system_packages]}
    return {name: {"versions": [str(crates.versions[name])], "abi": "abi3", "build": build}}


def test_bcrypt_is_built_on_a_host(host: Host, rust: Path, crates: Crates, tmp_path: Path) -> None:
    host.lend(rust, "/opt/rust")
    host.run("ln -s /opt/rust/bin/cargo /opt/rust/bin/rustc /usr/local/bin/")
    furnish(host, crates)
    with near_index(host) as index:
        write_matrix(tmp_path, host, index, "x86_64", package("bcrypt", crates, index, tmp_path))
        (wheel,) = built(tmp_path, "x86_64").values()
    assert tags([wheel]) == {"cp311-abi3-linux_x86_64"}
    assert processors(wheel) == {"x86-64"}


@pytest.mark.needs("qemu-aarch64-static")
def test_bcrypt_is_built_on_a_host_of_another_processor(arm: Host, crates: Crates, tmp_path: Path) -> None:
    arm.lend(make_rust("arm64", "/opt/rust"), "/opt/rust")
    arm.run("ln -s /opt/rust/usr/bin/cargo /opt/rust/usr/bin/rustc /usr/bin/")
    furnish(arm, crates)
    with near_index(arm) as index:
        write_matrix(tmp_path, arm, index, "aarch64", package("bcrypt", crates, index, tmp_path))
        (wheel,) = built(tmp_path, "aarch64").values()
    assert tags([wheel]) == {"cp311-abi3-linux_aarch64"}
    assert processors(wheel) == {"AArch64"}


@pytest.mark.needs("qemu-aarch64-static")
def test_cryptography_is_built_on_a_host_of_another_processor(arm: Host, crates: Crates, tmp_path: Path) -> None:
    """With maturin's wheel and cffi's, which the index has for this one."""
    arm.lend(make_rust("arm64", "/opt/rust"), "/opt/rust")
    arm.run("ln -s /opt/rust/usr/bin/cargo /opt/rust/usr/bin/rustc /usr/bin/")
    furnish(arm, crates)
    with near_index(arm) as index:
        said = package("cryptography", crates, index, tmp_path, "libssl-dev", "pkgconf")
        write_matrix(tmp_path, arm, index, "aarch64", said)
        (wheel,) = built(tmp_path, "aarch64").values()
    assert tags([wheel]) == {"cp311-abi3-linux_aarch64"}
    assert processors(wheel) == {"AArch64"}


def test_maturin_and_cffi_are_built_there_before_cryptography(
    host: Host, rust: Path, crates: Crates, tmp_path: Path
) -> None:
    """As on FreeBSD, for which the index has no wheel of either."""
    host.lend(rust, "/opt/rust")
    host.run("ln -s /opt/rust/bin/cargo /opt/rust/bin/rustc /usr/local/bin/")
    furnish(host, crates)
    with near_index(host) as index:  # maturin's zstd takes bindgen, and that clang
        tree = fitted("maturin", crates, index, tmp_path / "maturin", without=["zstd"])
    maturin = repack(tree, tmp_path / f"maturin-{crates.versions['maturin']}.tar.gz")
    with near_index(host, withheld=["cffi-*.whl"], own={"maturin": maturin}) as index:
        needed = ("libffi-dev", "libssl-dev", "pkgconf")
        write_matrix(tmp_path, host, index, "x86_64", package("cryptography", crates, index, tmp_path, *needed))
        (wheel,) = built(tmp_path, "x86_64").values()
        (cffi,) = (name for name in index.fetched if name.startswith("cffi-"))
    assert built_first(wheel) == {name: index.digest(name) for name in (cffi, maturin.name)}
    assert tags([wheel]) == {"cp311-abi3-linux_x86_64"}
    assert processors(wheel) == {"x86-64"}
