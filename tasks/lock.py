"""``nox -s lock``: a lock from each ``requirements/<session>.in``, for all platforms and Pythons, with hashes.

A lock names packages, versions and hashes. Where packages come from is the user's configuration, never a lock's.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import console as terminal
from tasks import process
from tasks.core.errors import BadInput, Failed, ServiceFailed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

COMMAND = "nox -s lock"
COMPILE = (
    *(sys.executable, "-m", "uv", "pip", "compile", "--quiet"),
    *("--universal", "--python-version=3.11", "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"),
    f"--custom-compile-command={COMMAND}",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check the locks of the current directory; return the exit code."""
    parser = terminal.parser("lock", "Write each lock of requirements/ from its .in file.")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="write nothing; fail if a lock is not what its .in file says")
    how.add_argument("--upgrade", action="store_true", help="take the newest releases, not those already locked")
    return terminal.run(parser, argv, lock)


def lock(options: argparse.Namespace, console: terminal.Console) -> int:
    """Make all locks in a scratch copy, so that a failure leaves none half done; then compare, or put them in place."""
    folder = Path("requirements")
    refuse_addresses(folder.glob("*.in"))
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, folder)
        shutil.copytree(folder, copy)
        names = in_order(copy)
        for name in names:
            compile_lock(copy, name, upgrade=options.upgrade)
        refuse_addresses(copy.glob("*.txt"))
        changed = [name for name in names if _text(copy, name) != _text(folder, name)]
        if options.check:
            refuse_stale(changed, left_over=sorted({path.stem for path in folder.glob("*.txt")} - {*names}))
        for name in changed:
            shutil.copyfile(copy / f"{name}.txt", folder / f"{name}.txt")
    for name in changed:
        console.info(f"wrote {folder}/{name}.txt")
    console.info(f"{len(names)} locks, {len(changed)} changed")
    if options.json:
        terminal.emit_json({"changed": changed, "locks": names})
    return 0


def in_order(folder: Path) -> list[str]:
    """Return the names of the locks, each after those that it is constrained by or takes requirements from."""
    wanted = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.in"))}
    needs = {name: re.findall(r"^-[cr] (\w+)\.(?:in|txt)$", text, re.MULTILINE) for name, text in wanted.items()}
    return list(TopologicalSorter(needs).static_order())


def compile_lock(folder: Path, name: str, *, upgrade: bool) -> None:
    """Write ``<name>.txt`` from ``<name>.in``; versions that are locked stay unless the ``.in`` rules them out."""
    source, lock_file = f"{folder.name}/{name}.in", f"{folder.name}/{name}.txt"
    argv = [*COMPILE, *(["--upgrade"] if upgrade else []), f"--output-file={lock_file}", source]
    ended = process.run(argv, cwd=folder.parent)
    if ended.returncode:
        fault = ServiceFailed if "Failed to fetch" in ended.stderr else BadInput
        raise fault(f"{source}: uv cannot lock it\n{ended.stderr.strip()}")


def refuse_addresses(paths: Iterable[Path]) -> None:
    """Raise :class:`Failed` for each line that holds a URL."""
    lines = [
        f"requirements/{path.name}:{number}: found the address {address[0]}, expected none; give it to pip and uv by "
        "their configuration"
        for path in sorted(paths)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (address := re.search(r"\S+://\S+", line))
    ]
    if lines:
        raise Failed(*lines)


def refuse_stale(changed: Sequence[str], *, left_over: Sequence[str]) -> None:
    """Raise :class:`Failed` for each lock that does not follow from its ``.in`` file."""
    messages = [
        f"requirements/{name}.txt is not what requirements/{name}.in says; run `{COMMAND}` and commit it"
        for name in changed
    ]
    messages += [f"requirements/{name}.txt has no requirements/{name}.in; remove it, or add that" for name in left_over]
    if messages:
        raise Failed(*messages)


def _text(folder: Path, name: str) -> str | None:
    path = folder / f"{name}.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
