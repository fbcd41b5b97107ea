"""Proves of what was built of a component that its PEX holds exactly what ``pip install`` puts on the path."""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from tasks import process
from tasks.core.wheels import WheelName
from tasks.monorepo.builds import damaged, read_built, run, run_backend, source_digests, user_code
from tasks.monorepo.packages import differences
from tasks.wheelfile import UnreadableWheel, read_digests, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tasks.monorepo.builds import Built
    from tasks.monorepo.packages import Package

TIMEOUT = 60.0
"""Seconds in which a console script has to answer ``--help``."""
_OWN = (".bootstrap/", "__pex__/", "__main__.py", "PEX-INFO")
"""What pex itself puts into each PEX, beside the distributions in ``.deps/``."""
_NO_CODE = (".prefix/", ".layout.json")


def check(package: Package, key: str, base: Path, folder: Path, required: Sequence[Path], scratch: Path) -> list[str]:
    """Return what is wrong with a built component, a message for each thing; nothing where all is well.

    ``required`` are the wheels of all packages that it requires in some way. Raises :class:`Failed` where a program
    fails that is none of the component's.
    """
    built = read_built(folder)
    if built is None:
        return [f"{folder} holds no record of a build; run: components -- build"]
    wrong = damaged(folder, built)
    if built.key != key:
        wrong.append(f"{folder} was built of other sources or by other tools; run: components -- build")
    try:
        wrong += _contents(package, built, base, folder, scratch)
        if package.scripts:
            wrong += _scripts(package, built, folder, required, scratch)
    except (UnreadableWheel, OSError) as error:
        wrong.append(f"{folder} cannot be read: {error}")
    return wrong


def _contents(package: Package, built: Built, base: Path, folder: Path, scratch: Path) -> Iterator[str]:
    """Compare the wheel with the sources, and with the wheel that the sdist gives."""
    wheel = user_code(read_digests(folder / built.wheel))
    yield from differences(wheel, source_digests(package, base), here=built.wheel, there="the sources")
    unpacked, out = scratch / "sdist", scratch / "from-sdist"
    try:
        with tarfile.open(folder / built.sdist, "r:gz") as archive:
            archive.extractall(unpacked, filter="data")
    except (tarfile.TarError, EOFError, ValueError) as error:
        yield f"{folder / built.sdist} cannot be unpacked: {error}"
        return
    sources = sorted(unpacked.iterdir())
    if len(sources) != 1:
        yield f"{folder / built.sdist} holds {', '.join(path.name for path in sources)}, expected one folder"
        return
    run_backend(package, sources[0], out, ["--wheel"])
    (again,) = out.glob("*.whl")
    yield from differences(user_code(read_digests(again)), wheel, here=built.sdist, there=built.wheel)


def _scripts(package: Package, built: Built, folder: Path, required: Sequence[Path], scratch: Path) -> Iterator[str]:
    """Compare each PEX with what pip installs of the wheel, and start each console script from both."""
    venv = scratch / "venv"
    contents = {name: read_digests(folder / f"{name}.pex") for name in package.scripts if f"{name}.pex" in built.files}
    _install(package, folder / built.wheel, required, _pins(contents), venv)
    installed = _installed(venv)
    for name in package.scripts:
        if name not in contents:
            yield f"{folder} lacks {name}.pex"
            continue
        pex = folder / f"{name}.pex"
        yield from differences(_on_path(contents[name]), installed, here=pex.name, there="what pip installs")
        yield from _start(f"the console script {name}", [str(venv / "bin" / name)], scratch)
        yield from _start(pex.name, [sys.executable, str(pex.resolve())], scratch)


def _install(package: Package, wheel: Path, required: Sequence[Path], pins: Sequence[str], venv: Path) -> None:
    constraints = venv.with_name("constraints.txt")
    constraints.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    run(package, ("-m", "venv", "--without-pip", str(venv)), venv.parent)
    python = str(venv / "bin" / "python")
    options = ("--disable-pip-version-check", "--quiet", "--no-compile", f"--constraint={constraints}")
    files = [str(path.resolve()) for path in (*required, wheel)]
    run(package, ("-m", "pip", f"--python={python}", "install", *options, *files), venv.parent)


def _pins(contents: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the versions of the distributions that PEXes hold: newer ones since they were made do not count."""
    names = {path.split("/")[1] for members in contents.values() for path in members if path.startswith(".deps/")}
    pins = set()
    for name in names:
        try:
            wheel = WheelName.parse(name)
        except ValueError:
            continue  # no distribution: what lies in there is found by its path
        pins.add(f"{wheel.name}=={wheel.version}")
    return sorted(pins)


def _on_path(members: Mapping[str, str]) -> dict[str, str]:
    """Return what a PEX puts on the path: what lies in its distributions, and loose files."""
    found = {}
    for path, digest in members.items():
        if path.startswith(".deps/"):
            inside = path.split("/", 2)[-1]
            if not inside.startswith(_NO_CODE) and not _is_metadata(inside):
                found[inside] = digest
        elif not path.startswith(_OWN):
            found[path] = digest
    return found


def _installed(venv: Path) -> dict[str, str]:
    """Return what lies on the path of a virtual environment, besides metadata."""
    (site,) = (venv / "lib").glob("python*/site-packages")
    paths = {path.relative_to(site).as_posix(): path for path in site.rglob("*") if path.is_file()}
    return {inside: sha256_of(path) for inside, path in paths.items() if not _is_metadata(inside)}


def _is_metadata(path: str) -> bool:
    return path.split("/", 1)[0].endswith((".dist-info", ".pex-info"))


def _start(what: str, command: list[str], scratch: Path) -> Iterator[str]:
    home = Path(mkdtemp(dir=scratch))  # each its own: a PEX would take from pex's cache what another has put there
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    env = {**kept, "HOME": str(home), "PEX_ROOT": str(home / "pex"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        said = process.run([*command, "--help"], env=env, cwd=home, timeout=TIMEOUT)
    except process.CannotStart as error:
        yield f"{what} does not start: {error.reason}"
        return
    if said.timed_out:
        yield f"{what} does not start: no answer to --help in {TIMEOUT:.0f} s"
    elif said.returncode:
        lines = (said.stderr or said.stdout).strip().splitlines()
        yield f"{what} does not start: --help ended with {said.returncode}{f': {lines[-1]}' if lines else ''}"
