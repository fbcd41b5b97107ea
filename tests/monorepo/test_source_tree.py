from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.core.errors import BadInput
from tasks.core.monorepo import Components
from tasks.monorepo.lint import lint
from tasks.monorepo.source_tree import read_tree
from tests.monorepo.trees import CONFORMING, LIB
from tests.monorepos import ROOT, write, write_monorepo

COMPONENTS = Components(root=ROOT, version_file=".version", dependants=("src/test/python",))
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    write_monorepo(tmp_path)
    return tmp_path


def problems(folder: Path, components: Components = COMPONENTS) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read_tree(components, folder)
    return [message.replace(f"{folder}/", "") for message in caught.value.messages]


def test_a_monorepo_is_read(here: Path) -> None:
    write(here, {f"{ROOT}/acme/base/lib/data/x.css": "", f"{ROOT}/acme/base/lib/BUILD.more": ""})
    tree = read_tree(COMPONENTS, here)
    assert [build.directory for build in tree.builds] == [f"{ROOT}/acme/base/lib", f"{ROOT}/acme/base/tool"]
    assert [build.directory for build in tree.dependants] == ["src/test/python/tool"]
    assert tree.below(f"{ROOT}/acme/base/lib") == tuple(
        f"{ROOT}/acme/base/lib/{name}" for name in ("BUILD", "BUILD.more", "__init__.py", "data/x.css")
    )
    assert set(tree.requirements) == {"pyyaml", "requests"}
    assert tree.layout.version == "1.2.0-SNAPSHOT"
    assert tree.defined == {f"{ROOT}/acme/base/tool/cli.py": frozenset({"main"})}
    assert [str(finding) for finding in lint(tree)] == [
        f"{here}/{ROOT}/acme/base/lib/BUILD.more:1 R1 is a second BUILD file; move its targets to {LIB}"
    ]


def test_what_python_and_editors_leave_behind_is_no_part_of_it(here: Path) -> None:
    write(here, {f"{ROOT}/acme/x/{folder}/x.py": "" for folder in ("__pycache__", ".git", "x.egg-info")})
    (here / ROOT / "acme/.venv").symlink_to("/usr/lib")
    assert lint(read_tree(COMPONENTS, here)) == ()


def test_the_build_root_may_be_below_the_matrix(tmp_path: Path) -> None:
    write_monorepo(tmp_path / "mono")
    components = Components(root=f"mono/{ROOT}", version_file="mono/.version", buildroot="mono")
    tree = read_tree(components, tmp_path)
    assert lint(tree) == ()
    assert tree.layout.prefix == f"{tmp_path}/mono/"


def test_addresses_are_the_same_wherever_it_is_read_from(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    tree = read_tree(COMPONENTS, Path())
    assert (tree.layout.prefix, tree.builds) == ("", read_tree(COMPONENTS, here).builds)


def test_a_folder_outside_that_is_depended_on_has_a_build_file(here: Path) -> None:
    write(here, {LIB: CONFORMING[LIB].replace("3rdparty/python:PyYAML", "src/thrift', 'src/gone")})
    tree = read_tree(COMPONENTS, here)
    assert tree.elsewhere == {"src/thrift"}
    assert [finding.message for finding in lint(tree)] == ["'src/gone' names nothing: there is no src/gone/BUILD"]


# ── Requirements and the version ──────────────────────────────────────────────────────────────────────────────────────


def test_a_requirements_file_is_read_as_pip_writes_it(here: Path) -> None:
    lines = """\
# a comment
--extra-index-url https://index.example/simple
-r more.txt
Zope.Interface==1 \\
    --hash=sha256:00 \\
    --hash=sha256:11
six>=1 ; python_version < "3"  # another comment
packaging \\
    >=24,<25 \\
    --hash=sha256:33
# no comment goes on \\
idna\\
# which this one ends

requests[security]~=2.0 --hash=sha256:22
"""
    write(here, {"3rdparty/python/requirements.txt": lines})
    assert read_tree(COMPONENTS, here).requirements == {
        "zope-interface": ("Zope.Interface==1",),
        "six": ('six>=1; python_version < "3"',),
        "requests": ("requests[security]~=2.0",),
        "packaging": ("packaging<25,>=24",),
        "idna": ("idna",),
    }


def test_a_line_that_is_no_requirement_is_named(here: Path) -> None:
    write(here, {"3rdparty/python/requirements.txt": "six \\\n  >1\nrequests \\\n  =>2\n"})
    (message,) = problems(here)
    assert message == (
        "3rdparty/python/requirements.txt:3: expected a requirement as PEP 508 writes it, found 'requests   =>2': "
        "Expected semicolon (after name with no version specifier) or end"
    )


def test_without_third_party_requirements_there_need_be_no_file(here: Path) -> None:
    (here / "3rdparty/python/requirements.txt").unlink()
    write(here, {LIB: CONFORMING[LIB].replace("    '3rdparty/python:PyYAML',\n", "")})
    assert lint(read_tree(COMPONENTS, here)) == ()


def test_a_requirements_file_that_the_matrix_names_has_to_be_there(here: Path) -> None:
    components = Components(root=ROOT, version_file=".version", requirements="deps/requirements.txt")
    assert problems(here, components) == ["deps/requirements.txt:1: there is no such file"]


@pytest.mark.parametrize(
    "version", ["1.2", "1.2.0-RC1", "1.2.0-rc1", "1.2.0-SNAPSHOT", "1!2.0.post1.dev3+local", " 1.2\n\n"]
)
def test_a_version_is_one_of_pep_440_or_a_snapshot(here: Path, version: str) -> None:
    write(here, {".version": version})
    assert read_tree(COMPONENTS, here).layout.version == version.strip().upper()


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (
            "1.2-alpha-beta",
            ".version:1: expected a version as PEP 440 writes it, -SNAPSHOT after it or not, found '1.2-ALPHA-BETA'",
        ),
        ("", ".version:1: expected a version as PEP 440 writes it, -SNAPSHOT after it or not, found ''"),
        (b"\xff", ".version:1: is not UTF-8; components.version_file in the matrix names it"),
        (None, ".version:1: there is no such file; components.version_file in the matrix names it"),
    ],
)
def test_what_is_no_version_is_refused(here: Path, version: str | bytes | None, message: str) -> None:
    if version is None:
        (here / ".version").unlink()
    else:
        write(here, {".version": version})
    assert problems(here) == [message]


# ── What cannot be read ───────────────────────────────────────────────────────────────────────────────────────────────


def test_all_files_are_judged_in_one_go(here: Path) -> None:
    write(here, {LIB: "x = 1\n", "src/test/python/tool/BUILD": "(\n", "3rdparty/python/requirements.txt": "=\n"})
    assert [message.partition(": ")[0] for message in problems(here)] == [
        f"{LIB}:1",
        "src/test/python/tool/BUILD:1",
        "3rdparty/python/requirements.txt:1",
    ]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/etc/hostname", "is a symbolic link to /etc/hostname, out of the root; put a copy there"),
        (
            "../../../../../../.version",
            "is a symbolic link to ../../../../../../.version, out of the root; put a copy there",
        ),
        ("../tool", "is a symbolic link to the folder ../tool; put a copy there, or leave it out"),
        ("gone.py", "is a symbolic link to gone.py, where nothing is"),
        ("link.py", "is a symbolic link to link.py, where nothing is"),
    ],
)
def test_a_symbolic_link_that_leads_out_or_astray_is_refused(here: Path, target: str, message: str) -> None:
    (here / ROOT / "acme/base/lib/link.py").symlink_to(target)
    assert problems(here) == [f"{ROOT}/acme/base/lib/link.py:1: {message}"]


def test_a_folder_whose_name_only_begins_like_the_roots_is_out_of_it(here: Path) -> None:
    write(here, {"src/main/python3/x.py": ""})
    (here / ROOT / "acme/base/lib/link.py").symlink_to("../../../../python3/x.py")
    assert problems(here) == [
        f"{ROOT}/acme/base/lib/link.py:1: is a symbolic link to ../../../../python3/x.py, out of the root; put a copy there"
    ]


def test_a_symbolic_link_to_a_file_of_the_root_is_that_file_again(here: Path) -> None:
    (here / ROOT / "acme/base/lib/link.py").symlink_to("../tool/cli.py")
    tree = read_tree(COMPONENTS, here)
    assert tree.links == {f"{ROOT}/acme/base/lib/link.py": f"{ROOT}/acme/base/tool/cli.py"}
    assert [finding.rule for finding in lint(tree)] == ["R11"]


def test_a_root_that_is_a_link_is_read(here: Path) -> None:
    (here / "src/main/python").rename(here / "python")
    (here / "src/main/python").symlink_to(here / "python")
    assert lint(read_tree(COMPONENTS, here)) == ()
    (here / "python/acme/base/lib/link.py").symlink_to("../tool/cli.py")
    assert read_tree(COMPONENTS, here).links == {f"{ROOT}/acme/base/lib/link.py": f"{ROOT}/acme/base/tool/cli.py"}


@pytest.mark.parametrize("key", ["root", "dependants"])
def test_a_folder_that_is_not_there_is_named(here: Path, key: str) -> None:
    components = Components(
        root="gone" if key == "root" else ROOT, version_file=".version", dependants=("gone",) if key != "root" else ()
    )
    assert problems(here, components) == ["gone: there is no such folder; components in the matrix names it"]


def test_a_version_file_that_leads_out_of_the_build_root_is_refused(here: Path) -> None:
    (here / "linked").symlink_to("/etc/hostname")
    write(here, {LIB: CONFORMING[LIB].replace("'.version'", "'linked'")})
    assert problems(here) == [f"{LIB}:11: open: linked: leads out of the build root"]


def test_a_folder_is_no_file_to_read(here: Path) -> None:
    (here / "deps/requirements.txt").mkdir(parents=True)
    write(here, {LIB: CONFORMING[LIB].replace("'.version'", "'src'")})
    components = Components(root=ROOT, version_file=".version", requirements="deps/requirements.txt")
    assert problems(here, components) == [
        f"{LIB}:11: open: src: cannot be read: Is a directory",
        "deps/requirements.txt:1: cannot be read: Is a directory",
    ]


def test_a_folder_that_may_not_be_read_is_named(here: Path) -> None:
    locked = here / ROOT / "acme/base/lib"
    locked.chmod(0)
    if os.access(locked, os.R_OK):
        pytest.skip("this user may read everything")
    try:
        assert problems(here) == [f"{ROOT}/acme/base/lib:1: cannot be read: Permission denied"]
    finally:
        locked.chmod(0o755)


def test_nothing_of_a_build_file_is_run(here: Path) -> None:
    write(here, {LIB: f"import os\nos.system('touch {here}/ran')\nopen('{here}/ran', 'w').write('x')\n"})
    assert len(problems(here)) == 2
    assert not (here / "ran").exists()


# ── What it costs ─────────────────────────────────────────────────────────────────────────────────────────────────────

COUNT = """\
import collections, json, sys
counts = collections.Counter()
def hook(event, arguments):
    if event in {"open", "os.scandir"} and ROOT in str(arguments[0]):
        counts[f"{event} {arguments[0]}"] += 1
    elif event == "compile" and b"library(" in (arguments[0] if isinstance(arguments[0], bytes) else str(arguments[0]).encode()):
        counts["parsed"] += 1
from tasks.monorepo.source_tree import read_tree
from tasks.monorepo.lint import lint
from tasks.core.monorepo import Components
from pathlib import Path
sys.addaudithook(hook)
tree = read_tree(Components(root=ROOT, version_file=".version"), Path.cwd())
assert lint(tree) == ()
print(json.dumps(counts))
"""


def test_each_folder_is_read_once_and_each_build_file_parsed_once(tmp_path: Path) -> None:
    write_monorepo(tmp_path, {path: text for path, text in CONFORMING.items() if not path.startswith("src/test")})
    write(tmp_path, {f"{ROOT}/acme/base/lib/inner/{number}.py": "" for number in range(20)})
    ran = subprocess.run(
        [sys.executable, "-c", COUNT.replace("ROOT", repr(ROOT))],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=True,
        capture_output=True,
        text=True,
    )
    folders = ["", "/acme", "/acme/base", "/acme/base/lib", "/acme/base/lib/inner", "/acme/base/tool"]
    files = [LIB, f"{ROOT}/acme/base/tool/BUILD", f"{ROOT}/acme/base/tool/cli.py"]  # the last has an entry point
    assert json.loads(ran.stdout) == {
        "parsed": 2,
        **{f"os.scandir {tmp_path}/{ROOT}{folder}": 1 for folder in folders},
        **{f"open {tmp_path}/{file}": 1 for file in files},
    }
