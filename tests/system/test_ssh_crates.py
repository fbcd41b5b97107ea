"""The shipped matrix's packages in Rust, with crates of Debian's archive, built on hosts of two processors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.system.crates import cargo_settings, fit, make_crates, make_rust, patch_of, repack
from tests.system.near_index import near_index
from tests.system.package_builds import built, built_first, processors, tags, write_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.crates import Crates
    from tests.system.hosts import Host
    from tests.system.near_index import NearIndex

pytestmark = pytest.mark.crates
HOME = "/opt/cargo"


@pytest.fixture(scope="module")
def crates() -> Crates:
    """Return what Debian builds bcrypt, cryptography and maturin with."""
    return make_crates("bcrypt", "cryptography", "maturin")


def furnish(host: Host, crates: Crates) -> None:
    """Have cargo on a host take crates from a directory, by a configuration that a build's ``env`` names."""
    host.lend(crates.folder, "/opt/crates")
    (host.upper / HOME.lstrip("/")).mkdir(parents=True)
    (host.upper / HOME.lstrip("/") / "config.toml").write_text(cargo_settings("/opt/crates"))


def fitted(name: str, crates: Crates, index: NearIndex, folder: Path, **how: Any) -> Path:
    """Return the tree of an sdist that the index has, fitted to the crates."""
    sdist = folder / f"{name}-{crates.versions[name]}.tar.gz"
    folder.mkdir()
    sdist.write_bytes(index.answer(f"/files/{name}/{sdist.name}") or b"")
    index.fetched.remove(sdist.name)
    return fit(sdist, crates, folder, **how)


def package(name: str, crates: Crates, index: NearIndex, folder: Path, *system_packages: str) -> dict[str, Any]:
    """Return what a matrix says of a package, whose patch is written."""
    (folder / f"{name}.patch").write_text(patch_of(fitted(name, crates, index, folder / name)))
    build = {"patches": [f"{name}.patch"], "env": {"CARGO_HOME": HOME}, "system_packages": ["patch", *system_packages]}
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
