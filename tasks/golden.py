"""The stage ``golden``: files that programs made once, and that have to stay readable."""

from __future__ import annotations

import socket
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from tasks import console, options
from tasks.core.errors import BadInput, Failed, Refused
from tasks.golden_files.folders import Format, add, by_program, check, in_process, lacks_history, load, unread
from tasks.golden_files.manifest import MANIFEST
from tasks.golden_files.readers import READERS
from tasks.matrixcache import load as load_matrix

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from tasks.console import Console

CACHE = Path(".cache")
OWN = Path("tests/golden")
"""Where spare-tire's own golden files lie, below its repository."""
_SHORTEST = 3  # characters of a name that is looked for in what is added: shorter ones are anywhere

Formats = dict[str, Format]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; return its exit code."""
    parser = console.parser("golden", "Files that have to stay readable: check them, list them, add one.")
    parser.add_argument("verb", choices=VERBS, help="check: read them all; list: show them; add: copy a file in")
    parser.add_argument("format", nargs="?", metavar="FORMAT", help="only this format (default: all)")
    parser.add_argument("file", nargs="?", metavar="FILE", type=Path, help="add: the file, as the program made it")
    options.add_matrix(parser)
    parser.add_argument("--shows", metavar="TEXT", help="add: what can be seen in the file that no other shows")
    parser.add_argument("--name", metavar="PATH", help="add: its name below the format's folder (default: FILE's)")
    parser.add_argument(
        "--made-by", metavar="VERSION", help="add: the version of the program that made it (default: spare-tire's)"
    )
    return console.run(parser, argv, _stage)


def _stage(chosen: argparse.Namespace, terminal: Console) -> int:
    if chosen.verb != "add" and (said := [f"--{key.replace('_', '-')}" for key in ADDING if vars(chosen)[key]]):
        raise BadInput(f"{said[0]} is for add: leave it out of {chosen.verb}".replace("--file", "FILE"))
    formats = _formats(options.matrix_path(chosen))
    if chosen.format is not None and chosen.format not in formats:
        raise BadInput(f"there is no format {chosen.format!r}, expected one of {', '.join(formats)}")
    return VERBS[chosen.verb](chosen, terminal, formats)


def _formats(path: Path) -> Formats:
    """Return every format by name, in order: ours, then the matrix's."""
    current = _version()
    found = {
        name: Format(name=name, folders=(OWN / name,), read=in_process(reader), version=current)
        for name, reader in sorted(READERS.items())
    }
    for golden in load_matrix(path, CACHE / "matrix").matrix.golden:
        if golden.name in found:
            raise BadInput(f"{path}: golden.{golden.name} is the name of a format of spare-tire's own: take another")
        folders = tuple(path.parent / folder for folder in golden.paths)
        found[golden.name] = Format(name=golden.name, folders=folders, read=by_program(golden.reader, path.parent))
    return found


def _version() -> Version:
    """Return spare-tire's version, which its repository says."""
    try:
        return Version(tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])
    except (OSError, ValueError, KeyError) as error:
        raise BadInput("pyproject.toml: has no version of spare-tire's: run this in its repository") from error


def _check(chosen: argparse.Namespace, terminal: Console, formats: Formats) -> int:
    asked = _asked(chosen, formats)
    findings = [finding for format_ in asked for finding in check(format_)]
    if chosen.format is None:
        findings += unread(OWN, READERS)
    if chosen.json:
        console.emit_json({"findings": [{"file": each.file, "message": each.message} for each in findings]})
    else:
        console.emit("".join(f"{finding}\n" for finding in findings))
    folders = [folder for format_ in asked for folder in format_.folders]
    files = sum(len(load(folder).files) for folder in folders)
    lacking = next(filter(None, map(lacks_history, folders)), None)
    terminal.info(
        f"{console.number(files, 'golden file')} of {console.number(len(asked), 'format')}: "
        f"{console.number(len(findings), 'finding')}{f', and {lacking}' if lacking else ''}"
    )
    return Failed.exit_code if findings else 0


def _list(chosen: argparse.Namespace, _terminal: Console, formats: Formats) -> int:
    shown = [
        (format_.name, folder / name, file)
        for format_ in _asked(chosen, formats)
        for folder in format_.folders
        for name, file in sorted(load(folder).files.items())
    ]
    if chosen.json:
        files = [{"format": name, "file": str(path), **file.to_dict()} for name, path, file in shown]
        console.emit_json({"files": files})
        return 0
    for name, path, file in shown:
        gone = f"; no longer read since {file.accepted.version}: {file.accepted.reason}" if file.accepted else ""
        console.emit(f"{name}  {path}  {file.made_by}  {file.shows}{gone}\n")
    return 0


def _add(chosen: argparse.Namespace, terminal: Console, formats: Formats) -> int:
    for key in ("format", "file", "shows"):
        if not vars(chosen)[key]:
            raise BadInput(f"add needs {_NEEDED[key]}: add FORMAT FILE --shows TEXT")
    format_ = formats[chosen.format]
    made_by = _made_by(chosen.made_by, format_.version)
    try:
        data = chosen.file.read_bytes()
    except OSError as error:
        raise BadInput(f"{chosen.file}: cannot be read: {error.strerror}") from error
    if told := _told_of_this_machine(data):
        raise Refused(
            f"{chosen.file}: names {told!r}, which is this machine's: make it in a neutral place, and add that"
        )
    name = chosen.name or chosen.file.name
    if not add(format_, name, data, made_by=made_by, shows=chosen.shows):
        terminal.info(f"{chosen.file}: is there already")
        return 0
    folder = format_.folders[0]
    terminal.info(f"added {folder / name}; look at what its reader found, in {folder / MANIFEST}, and commit both")
    return 0


_NEEDED: Mapping[str, str] = {"format": "the format", "file": "the file", "shows": "--shows"}
ADDING = ("file", "shows", "name", "made_by")
"""The arguments that only ``add`` takes."""
VERBS: Mapping[str, Callable[[argparse.Namespace, Console, Formats], int]] = {
    "check": _check,
    "list": _list,
    "add": _add,
}


def _made_by(said: str | None, own: Version | None) -> Version:
    """Return the version that made a file: of one of our formats ours, of a user's the one that the user gives."""
    if said is None and own is not None:
        return own
    if said is None:
        raise BadInput("add needs --made-by, the version of the program that made the file")
    try:
        return Version(said)
    except InvalidVersion as error:
        raise BadInput(f"--made-by {said}: expected a version (PEP 440)") from error


def _told_of_this_machine(data: bytes) -> str | None:
    """Return what names this machine or its user in a file that is to be published: a folder, or its host's name."""
    places = [f"{path}/" for path in (Path.cwd(), Path.home()) if path != Path("/")]
    host = socket.gethostname()
    names = [host] if len(host) > _SHORTEST else []
    return next((word for word in (*places, *names) if word.encode() in data), None)


def _asked(chosen: argparse.Namespace, formats: Formats) -> list[Format]:
    return [found for name, found in formats.items() if chosen.format in {None, name}]


if __name__ == "__main__":
    raise SystemExit(main())
