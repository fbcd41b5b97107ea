"""The guard of golden files: on this repository as it is, and on copies of it in which something was broken."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tasks.core.golden import Reader
from tasks.golden import main
from tasks.golden_files.folders import by_program
from tasks.golden_files.manifest import Found
from tasks.golden_files.readers import READERS

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parent.parent
OWN = Path("tests/golden")
PLAN = OWN / "plan/mixed.json"
ALONE = ", and git has no history to compare them with"
USERS = """\
golden:
  notes:
    paths: [notes, more/notes]
    reader: {READER}
"""
READER = """\
import json, pathlib

def read(path):
    print("reading", path)
    return json.loads(path.read_text())

def same(path):
    return {"title": "first"}

def unfit(path):
    return {1, 2}

"""


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of our golden files, without history, where the stage runs; its matrix has no formats."""
    shutil.copytree(ROOT / OWN, tmp_path / OWN)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "wheel_matrix.yml").write_text("packages: {}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def edit(manifest: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(manifest.read_bytes())
    change(document["files"])
    manifest.write_text(json.dumps(document))


# ── Our own formats ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_golden_file_of_this_repository_is_read_as_it_must_be() -> None:
    command = [sys.executable, "-m", "tasks.golden", "check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_copy_is_checked_as_well(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    files = sum(len(json.loads(path.read_bytes())["files"]) for path in copy.glob("tests/golden/*/manifest.json"))
    assert files >= len(READERS) == 9
    assert capsys.readouterr() == ("", f"{files} golden files of 9 formats: 0 findings{ALONE}\n")


def test_a_file_that_is_deleted_fails(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / PLAN).unlink()
    assert main(["check"]) == 1
    reason = "is gone; golden files do not go: restore it, or accept the break with a major version"
    assert said(capsys) == [f"{PLAN}: {reason}"]


def test_a_file_that_is_changed_fails(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (copy / PLAN).read_bytes()
    (copy / PLAN).write_bytes(before + b"\n")
    assert main(["check"]) == 1
    was, is_now = (hashlib.sha256(data).hexdigest() for data in (before, before + b"\n"))
    assert said(capsys) == [
        f"{PLAN}: was changed: its sha256 is {is_now}, it was {was}; golden files do not change: restore it"
    ]


def test_a_file_that_no_manifest_names_fails(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(copy / OWN / "plan/manifest.json", lambda files: files.pop(PLAN.name))
    assert main(["check"]) == 1
    assert said(capsys) == [
        f"{PLAN}: manifest.json does not name it, so that nothing reads it: add it with golden -- add"
    ]


def test_whatever_lies_below_the_folder_has_to_be_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also a file in a folder of its own, one that is called a manifest, and a link that leads nowhere."""
    folder = copy / OWN / "plan"
    (folder / "deep").mkdir()
    (folder / "deep/more.json").write_bytes(b"")
    (folder / "deep/manifest.json").write_bytes(b"")
    (folder / "link.json").symlink_to("gone.json")
    assert main(["check", "plan"]) == 1
    message = "manifest.json does not name it, so that nothing reads it: add it with golden -- add"
    assert said(capsys) == [
        f"{OWN}/plan/{name}: {message}" for name in ("deep/manifest.json", "deep/more.json", "link.json")
    ]


def test_a_folder_that_no_format_reads_fails(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / OWN / "plan").rename(copy / OWN / "plans")
    assert main(["check"]) == 1
    assert said(capsys) == [
        "tests/golden/plan: there are no golden files of plan; add some with golden -- add",
        "tests/golden/plans: no format has this name, so that nothing reads it",
    ]


def test_a_file_beside_the_formats_fails(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / OWN / "loose.json").write_bytes(b"{}")
    assert main(["check"]) == 1
    assert said(capsys) == ["tests/golden/loose.json: no format has this name, so that nothing reads it"]


def test_a_reader_that_finds_something_else_fails(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As where the reader was changed: what the manifest wants is what it found before."""
    edit(copy / OWN / "plan/manifest.json", lambda files: files[PLAN.name]["finds"].update(own_index="elsewhere"))
    assert main(["check", "plan"]) == 1
    assert said(capsys) == [f'{PLAN}: is read as something else: own_index is "index", expected "elsewhere"']


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_format_of_another_version_is_not_read(copy: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """The reader is at work: of bytes that are no file of the format it finds nothing, though the manifest has them."""
    folder = copy / OWN / name
    file, entry = next(iter(json.loads((folder / "manifest.json").read_bytes())["files"].items()))
    data = b'{"version": 99}\n'
    (folder / file).write_bytes(data)
    edit(
        folder / "manifest.json",
        lambda files: files[file].update(entry | {"sha256": hashlib.sha256(data).hexdigest()}),
    )
    assert main(["check", name]) == 1
    found = said(capsys)
    assert len(found) == 1
    assert found[0].startswith(
        (f"{OWN / name / file}: is not read: ", f"{OWN / name / file}: is read as something else")
    )


def test_a_major_version_may_accept_that_a_file_goes(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accepted = {"version": "1.0.0", "reason": "plans live for a day"}
    edit(copy / OWN / "plan/manifest.json", lambda files: files[PLAN.name].update(accepted=accepted))
    (copy / PLAN).unlink()
    assert main(["check", "plan"]) == 1
    too_soon, gone = said(capsys)
    assert too_soon == f"{PLAN}: the break is accepted for 1.0.0, and this is 0.1.0: until then it has to be read"
    assert gone.startswith(f"{PLAN}: is gone; ")
    pyproject = copy / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('version = "0.1.0"', 'version = "1.0.0"'))
    assert main(["check", "plan"]) == 0
    capsys.readouterr()
    assert main(["list", "plan"]) == 0
    shown = json.loads((copy / OWN / "plan/manifest.json").read_bytes())["files"][PLAN.name]["shows"]
    line = f"plan  {PLAN}  0.1.0  {shown}; no longer read since 1.0.0: plans live for a day"
    assert line in said(capsys)


def git(*argv: str) -> None:
    author = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *author, *argv], check=True, capture_output=True)


def test_a_file_that_goes_with_its_entry_is_missed_by_history(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git("init", "--quiet")
    git("add", "tests")
    git("commit", "--quiet", "--message=first")
    assert main(["check", "plan"]) == 0
    assert capsys.readouterr().err == "4 golden files of 1 format: 0 findings\n"
    (copy / PLAN).unlink()
    edit(copy / OWN / "plan/manifest.json", lambda files: files.pop(PLAN.name))
    git("commit", "--quiet", "--all", "--message=gone")
    assert main(["check", "plan", "--quiet"]) == 1
    assert said(capsys) == [f"{PLAN}: was taken out of the manifest; golden files do not go: restore both"]


def test_a_file_that_a_merge_drops_is_missed_by_history(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = copy / OWN / "plan/manifest.json"
    whole, data = manifest.read_bytes(), (copy / PLAN).read_bytes()
    edit(manifest, lambda files: files.pop(PLAN.name))
    (copy / PLAN).unlink()
    git("init", "--quiet", "--initial-branch=main")
    git("add", "tests")
    git("commit", "--quiet", "--message=first")
    git("branch", "side")
    manifest.write_bytes(whole)
    (copy / PLAN).write_bytes(data)
    git("add", "tests")
    git("commit", "--quiet", "--message=added")
    git("checkout", "--quiet", "side")
    git("commit", "--quiet", "--allow-empty", "--message=side")
    git("merge", "--quiet", "--strategy=ours", "--message=merged", "main")
    assert main(["check", "plan", "--quiet"]) == 1
    assert said(capsys) == [f"{PLAN}: was taken out of the manifest; golden files do not go: restore both"]


def test_a_shallow_clone_says_that_it_is_one(
    copy: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    git("init", "--quiet")
    for message in ("first", "second"):
        git("add", ".")
        git("commit", "--quiet", "--allow-empty", f"--message={message}")
    clone = tmp_path_factory.mktemp("clone")
    git("clone", "--quiet", "--depth=1", copy.as_uri(), str(clone))
    monkeypatch.chdir(clone)
    assert main(["check", "plan"]) == 0
    assert capsys.readouterr().err == (
        "4 golden files of 1 format: 0 findings, and the clone is shallow, so that git has only the last of the history "
        "to compare them with\n"
    )


def test_what_must_be_found_is_held_to_what_was_committed_first(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git("init", "--quiet")
    git("add", "tests")
    git("commit", "--quiet", "--message=first")
    edit(copy / OWN / "plan/manifest.json", lambda files: files[PLAN.name]["finds"].pop("own_index"))
    git("commit", "--quiet", "--all", "--message=less")
    assert main(["check", "plan", "--quiet"]) == 1
    reason = 'the manifest once said something else of it: finds.own_index is missing, expected "index"; restore it'
    assert said(capsys) == [f"{PLAN}: {reason}"]


def test_a_manifest_that_was_damaged_once_is_no_obstacle(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = copy / OWN / "plan/manifest.json"
    whole = manifest.read_bytes()
    git("init", "--quiet")
    for message, data in (("first", whole), ("damaged", b"{"), ("mended", whole)):
        manifest.write_bytes(data)
        git("add", "tests")
        git("commit", "--quiet", f"--message={message}")
    manifest.unlink()
    git("commit", "--quiet", "--all", "--message=gone")
    manifest.write_bytes(whole)
    assert main(["check", "plan"]) == 0
    edit(manifest, lambda files: files[PLAN.name].update(shows="something else"))
    capsys.readouterr()
    assert main(["check", "plan", "--quiet"]) == 1
    assert said(capsys)[0].startswith(f"{PLAN}: the manifest once said something else of it: shows is ")


def test_the_list_as_json(users: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "notes", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["files"]
    assert first == {
        "format": "notes",
        "file": "notes/first.json",
        "sha256": hashlib.sha256((users / "notes/first.json").read_bytes()).hexdigest(),
        "made_by": "2.1",
        "shows": "the first",
        "finds": {"title": "first"},
    }
    assert second["file"] == "more/notes/second.json"


def test_a_folder_in_the_place_of_a_file_fails(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / PLAN).unlink()
    (copy / PLAN).mkdir()
    assert main(["check", "plan", "--quiet"]) == 1
    assert said(capsys) == [f"{PLAN}: cannot be read: Is a directory"]


def test_it_runs_in_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 2
    message = "error: pyproject.toml: has no version of spare-tire's: run this in its repository\n"
    assert capsys.readouterr().err == message


def test_findings_as_json(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / PLAN).unlink()
    assert main(["check", "plan", "--json", "--quiet"]) == 1
    message = "is gone; golden files do not go: restore it, or accept the break with a major version"
    assert json.loads(capsys.readouterr().out) == {"findings": [{"file": str(PLAN), "message": message}]}


def test_a_damaged_manifest_is_bad_input(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / OWN / "plan/manifest.json").write_text("[]")
    assert main(["check"]) == 2
    assert capsys.readouterr().err == (
        "error: tests/golden/plan/manifest.json: expected an object with the format spare-tire/golden-manifest, "
        "version 1\n"
    )


# ── A user's formats ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def users(copy: Path) -> Path:
    """A matrix with a user's format, which has a golden file in each of two folders."""
    (copy / "src").mkdir()
    (copy / "src/notes.py").write_text(READER)
    take(copy, "{callable: 'notes:read', folder: src}")
    for name, folder in (("first", "notes"), ("second", "more/notes")):
        (copy / f"{name}.json").write_text(json.dumps({"title": name}))
        adding = ["add", "notes", f"{name}.json", "--shows", f"the {name}", "--made-by", "2.1", "--quiet"]
        take(copy, "{callable: 'notes:read', folder: src}", f"[{folder}]")
        assert main(adding) == 0
    take(copy, "{callable: 'notes:read', folder: src}")
    return copy


def take(folder: Path, reader: str, paths: str = "[notes, more/notes]") -> None:
    text = USERS.replace("{READER}", reader).replace("[notes, more/notes]", paths)
    (folder / "wheel_matrix.yml").write_text(text)


def test_a_users_format_is_read_by_a_callable(users: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "notes"]) == 0
    assert capsys.readouterr() == ("", f"2 golden files of 1 format: 0 findings{ALONE}\n")
    assert main(["list", "notes"]) == 0
    assert said(capsys) == ["notes  notes/first.json  2.1  the first", "notes  more/notes/second.json  2.1  the second"]
    assert (users / "notes/first.json").read_text() == '{"title": "first"}'


def test_a_users_format_is_read_by_a_command(users: Path, capsys: pytest.CaptureFixture[str]) -> None:
    take(users, "{command: [cat]}")
    assert main(["check", "notes"]) == 0
    (users / "more/notes/second.json").unlink()
    assert main(["check", "notes", "--quiet"]) == 1
    assert said(capsys)[0].startswith("more/notes/second.json: is gone; ")


READERS_AT_FAULT = {
    "it fails": ("{command: [sh, -c, 'echo too old >&2; exit 3']}", "is not read: the reader ended with 3: too old"),
    "it is silent": ("{command: ['false']}", "is not read: the reader ended with 1: it said nothing"),
    "no JSON": ("{command: [sh, -c, 'echo hello']}", "is not read: the reader printed 'hello', expected JSON"),
    "nothing": ("{command: ['true']}", "is not read: the reader printed nothing, expected JSON"),
    "not there": (
        "{command: [no-such-reader]}",
        "is not read: the reader no-such-reader cannot be started: there is no such program on PATH",
    ),
    "it never looks": (
        "{callable: 'notes:same', folder: src}",
        "is not read: the reader finds the same in an empty file",
    ),
    "no such function": (
        "{callable: 'notes:other', folder: src}",
        "is not read: the reader ended with 1: AttributeError: module 'notes' has no attribute 'other'",
    ),
    "no such module": (
        "{callable: 'others:read', folder: src}",
        "is not read: the reader ended with 1: ModuleNotFoundError: No module named 'others'",
    ),
    "no plain data": (
        "{callable: 'notes:unfit', folder: src}",
        "is not read: the reader ended with 1: TypeError: Object of type set is not JSON serializable",
    ),
}


@pytest.mark.parametrize(("reader", "reason"), READERS_AT_FAULT.values(), ids=READERS_AT_FAULT)
def test_a_reader_that_does_not_read_fails(
    users: Path, capsys: pytest.CaptureFixture[str], reader: str, reason: str
) -> None:
    take(users, reader, "[notes]")
    assert main(["check", "notes", "--quiet"]) == 1
    assert said(capsys) == [f"notes/first.json: {reason}"]


def test_a_reader_that_does_not_end_is_ended(tmp_path: Path) -> None:
    read = by_program(Reader(command=("sh", "-c", "sleep 20")), tmp_path, timeout=0.1)
    assert read(tmp_path / "x") == Found(failure="the reader was not done after 0.1 s")


def test_a_reader_runs_in_the_matrixs_folder(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(users, "{command: [sh, -c, 'test -f src/notes.py && cat \"$1\"', sh]}")
    below = users / "below"
    below.mkdir()
    shutil.copy(users / "pyproject.toml", below)
    monkeypatch.chdir(below)
    assert main(["check", "notes", "--matrix", "../wheel_matrix.yml"]) == 0


def test_the_name_of_one_of_our_formats_is_taken(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "wheel_matrix.yml").write_text(USERS.replace("notes:", "plan:").replace("{READER}", "{command: [cat]}"))
    assert main(["check"]) == 2
    assert capsys.readouterr().err == (
        "error: wheel_matrix.yml: golden.plan is the name of a format of spare-tire's own: take another\n"
    )


# ── Adding ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_add_copies_the_bytes_and_notes_what_was_found(users: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (users / "out.json").write_bytes(b'{"title":\r\n "third"}')
    assert main(["add", "notes", "out.json", "--shows", "a line end", "--made-by", "3.0", "--name", "x/y.json"]) == 0
    assert capsys.readouterr().err == (
        "added notes/x/y.json; look at what its reader found, in notes/manifest.json, and commit both\n"
    )
    assert (users / "notes/x/y.json").read_bytes() == b'{"title":\r\n "third"}'
    assert json.loads((users / "notes/manifest.json").read_bytes())["files"]["x/y.json"] == {
        "sha256": hashlib.sha256(b'{"title":\r\n "third"}').hexdigest(),
        "made_by": "3.0",
        "shows": "a line end",
        "finds": {"title": "third"},
    }
    assert main(["check", "notes"]) == 0


def test_a_file_is_read_under_the_names_that_it_will_have(copy: Path) -> None:
    """The HTML page of a project is read as that of its folder."""
    made = copy / OWN / "html_page/archived/markupsafe/index.html"
    shutil.copy(made, copy / "page.html")
    adding = ["add", "html_page", "page.html", "--shows", "more", "--name", "again/markupsafe/index.html", "--quiet"]
    assert main(adding) == 0
    files = json.loads((copy / OWN / "html_page/manifest.json").read_bytes())["files"]
    assert files["again/markupsafe/index.html"]["finds"] == files["archived/markupsafe/index.html"]["finds"]
    assert files["again/markupsafe/index.html"]["made_by"] == "0.1.0"


def test_add_of_what_is_there_does_nothing(users: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (users / "notes/manifest.json").read_bytes()
    assert main(["add", "notes", "first.json", "--shows", "again", "--made-by", "9"]) == 0
    assert capsys.readouterr().err == "first.json: is there already\n"
    assert (users / "notes/manifest.json").read_bytes() == before


def test_add_replaces_nothing(users: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (users / "first.json").write_text('{"title": "changed"}')
    assert main(["add", "notes", "first.json", "--shows", "again", "--made-by", "9"]) == 4
    assert capsys.readouterr().err == (
        "error: notes/first.json: is there with other bytes; golden files do not change: give it a name with --name\n"
    )
    assert (users / "notes/first.json").read_text() == '{"title": "first"}'


def test_add_refuses_what_names_this_machine(users: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (users / "out.json").write_text(json.dumps({"title": f"{users}/x"}))
    assert main(["add", "notes", "out.json", "--shows", "a path", "--made-by", "3"]) == 4
    assert capsys.readouterr().err.replace("\n", "") == (
        f"error: out.json: names '{users}/', which is this machine's: make it in a neutral place, and add that"
    )
    assert not (users / "notes/out.json").exists()


NOT_ADDED: dict[str, tuple[list[str], str]] = {
    "no file": (["add", "notes"], "add needs the file: add FORMAT FILE --shows TEXT"),
    "no format": (["add"], "add needs the format: add FORMAT FILE --shows TEXT"),
    "shows nothing": (["add", "notes", "first.json"], "add needs --shows: add FORMAT FILE --shows TEXT"),
    "by nobody": (
        ["add", "notes", "first.json", "--shows", "x"],
        "add needs --made-by, the version of the program that made the file",
    ),
    "by no version": (
        ["add", "notes", "first.json", "--shows", "x", "--made-by", "new"],
        "--made-by new: expected a version (PEP 440)",
    ),
    "not there": (
        ["add", "notes", "none.json", "--shows", "x", "--made-by", "1"],
        "none.json: cannot be read: No such file or directory",
    ),
    "not read": (
        ["add", "plan", "first.json", "--shows", "x"],
        (
            "first.json: is not read: first.json: this is no plan (expected JSON with the format spare-tire/plan); "
            "make it again with nox -s plan"
        ),
    ),
    "outside": (
        ["add", "notes", "first.json", "--shows", "x", "--made-by", "1", "--name", "../x"],
        "--name ../x: expected the path of a file below the manifest's folder",
    ),
    "an unknown format": (["check", "none"], "there is no format 'none', expected one of html_page, "),
    "an option of add": (["check", "--shows", "x"], "--shows is for add: leave it out of check"),
    "a file for check": (["check", "notes", "first.json"], "FILE is for add: leave it out of check"),
}


@pytest.mark.parametrize(("argv", "message"), NOT_ADDED.values(), ids=NOT_ADDED)
def test_bad_input_is_exit_2(users: Path, capsys: pytest.CaptureFixture[str], argv: list[str], message: str) -> None:
    before = sorted(users.rglob("*"))
    assert main(argv) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert [path for path in sorted(users.rglob("*")) if path not in before and ".cache" not in path.parts] == []
