from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tasks.components import main
from tests.monorepos import MATRIX, ROOT, copy_example, write
from tests.publishes import snapshot

REPOSITORY = Path(__file__).parent.parent
OUT = Path("dist/components")
SLUG, NOTES, VERSION, TOOLS = "acme.text.slug", "acme.release.notes", "acme.release.version", "acme.tools.release"
SLUG_BUILD = f"{ROOT}/acme/text/slug/BUILD"
TOOLS_BUILD = f"{ROOT}/acme/tools/release/BUILD"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the example once; what the tests of this file need beyond that is built of a copy."""
    folder = tmp_path_factory.mktemp("example")
    copy_example(folder)
    command = [sys.executable, "-m", "tasks.components", "build", "--quiet"]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, check=True)
    return folder / OUT


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SPARE_TIRE_INDEX", "SPARE_TIRE_MATRIX", "SOURCE_DATE_EPOCH"):
        monkeypatch.delenv(name, raising=False)
    copy_example(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def built(here: Path, outputs: Path) -> Path:
    shutil.copytree(outputs, here / OUT)
    return here / OUT


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.strip()


def inodes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def metadata(folder: Path, name: str) -> str:
    (wheel,) = (folder / name).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info/METADATA").decode()


def git(*arguments: str, cwd: Path) -> None:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True)


def test_each_component_becomes_a_wheel_and_an_sdist_and_each_binary_a_pex(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (here / ".version").read_text() == "1.4.0\n"
    assert main(["build", f"{ROOT}/acme/tools"]) == 0
    assert capsys.readouterr() == (
        """\
dist/components/acme.text.slug/acme_text_slug-1.4.0-py3-none-any.whl
dist/components/acme.text.slug/acme_text_slug-1.4.0.tar.gz
dist/components/acme.release.version/acme_release_version-1.4.0-py3-none-any.whl
dist/components/acme.release.version/acme_release_version-1.4.0.tar.gz
dist/components/acme.release.notes/acme_release_notes-1.4.0-py3-none-any.whl
dist/components/acme.release.notes/acme_release_notes-1.4.0.tar.gz
dist/components/acme.tools.release/acme_tools_release-1.4.0-py3-none-any.whl
dist/components/acme.tools.release/acme_tools_release-1.4.0.tar.gz
dist/components/acme.tools.release/newest-version.pex
dist/components/acme.tools.release/release-notes.pex
""",
        "4 components: 4 built, 0 unchanged, 0 failed\n",
    )
    assert sorted(path.name for path in OUT.iterdir()) == [NOTES, VERSION, SLUG, TOOLS]


def test_a_component_says_what_it_requires_and_which_scripts_it_has(outputs: Path) -> None:
    assert re.findall(r"Requires-Dist: (.*)", metadata(outputs, TOOLS)) == [
        "acme-release-notes==1.4.0",
        "acme-release-version==1.4.0",
    ]
    assert re.findall(r"Requires-Dist: (.*)", metadata(outputs, VERSION)) == ["packaging>=24"]
    assert re.findall(r"(?:Name|Version): (.*)", metadata(outputs, SLUG))[-2:] == [SLUG, "1.4.0"]
    (wheel,) = (outputs / TOOLS).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        scripts = archive.read("acme_tools_release-1.4.0.dist-info/entry_points.txt").decode()
    assert "newest-version = acme.tools.release.newest:main\n" in scripts


def test_a_pex_is_the_program_with_all_that_it_requires(outputs: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PEX_ROOT": str(tmp_path / "pex")}

    def run(pex: str, *arguments: str) -> str:
        command = [sys.executable, str(outputs / TOOLS / pex), *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    assert run("newest-version.pex", "1.0", "10.0", "9.0") == "10.0\n"
    assert run("release-notes.pex", "A B", "1.0", "first") == "# A B 1.0 {#a-b-1-0}\n\n- first\n"


def test_the_same_sources_are_the_same_bytes(here: Path, outputs: Path) -> None:
    before = os.umask(0o077)
    try:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "7", "TZ": "Asia/Kolkata"}
        command = [sys.executable, "-m", "tasks.components", "build", "--quiet", "--jobs=1"]
        subprocess.run(command, cwd=here, env=environment, check=True, capture_output=True)
    finally:
        os.umask(before)
    assert snapshot(here / OUT) == snapshot(outputs)


def test_the_moment_is_fixed_where_nobody_fixes_it(outputs: Path) -> None:
    for path in [*outputs.rglob("*.whl"), *outputs.rglob("*.pex")]:
        with zipfile.ZipFile(path) as archive:
            assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


# ── What is built again ───────────────────────────────────────────────────────────────────────────────────────────────


def test_of_what_is_unchanged_nothing_is_built(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = inodes(built)
    assert main(["build", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == "4 components: 0 built, 4 unchanged, 0 failed\n"
    assert {each["built"] for each in json.loads(out)["components"]} == {False}
    assert inodes(built) == before


COUNT = """\
import sys
started = []
def hook(event, arguments):
    if event in {"subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec"}:
        started.append(arguments[0])
sys.addaudithook(hook)
from tasks.components import main
assert main(["build", "--quiet"]) == 0
print(len(started), file=sys.stderr)
"""


def test_of_what_is_unchanged_no_program_is_started(built: Path, here: Path) -> None:
    assert built.is_dir()
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", COUNT]
    ran = subprocess.run(command, cwd=here, env=environment, check=True, capture_output=True, text=True)
    assert ran.stderr == "0\n"


def test_what_requires_a_changed_component_is_built_again_too(
    built: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = here / ROOT / "acme/text/slug/__init__.py"
    path.write_text(path.read_text() + "\nMORE = 1\n")
    before = inodes(built)
    assert main(["build"]) == 0
    assert said(capsys) == "4 components: 3 built, 1 unchanged, 0 failed"
    changed = {name.partition("/")[0] for name, inode in inodes(built).items() if before.get(name) != inode}
    assert changed == {SLUG, NOTES, TOOLS}


@pytest.mark.parametrize("name", ["newest-version.pex", "record.json"])
def test_what_was_damaged_is_built_again(built: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    path = built / TOOLS / name
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    assert main(["build"]) == 0
    assert said(capsys) == "4 components: 1 built, 3 unchanged, 0 failed"
    assert path.read_bytes() == data


def test_a_fixed_moment_is_part_of_the_bytes(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767323045")
    assert main(["build", f"{ROOT}/acme/text"]) == 0
    assert said(capsys) == "1 component: 1 built, 0 unchanged, 0 failed"
    with zipfile.ZipFile(built / SLUG / "acme_text_slug-1.4.0-py3-none-any.whl") as archive:
        assert archive.infolist()[0].date_time[:3] == (2026, 1, 2)


# ── Versions ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_snapshot_has_the_number_of_its_commits(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {".version": "1.5.0-snapshot\n"})
    git("init", "--quiet", cwd=here)
    for number in "12":
        git("commit", "--quiet", "--allow-empty", "--message", number, cwd=here)
    assert main(["build", f"{ROOT}/acme/release/notes", "--quiet"]) == 0
    assert "dist/components/acme.release.notes/acme_release_notes-1.5.0.dev2.tar.gz\n" in capsys.readouterr().out
    assert re.findall(r"Requires-Dist: (.*)", metadata(OUT, NOTES)) == ["acme-text-slug==1.5.0.dev2"]


def test_a_shallow_clone_does_not_tell_the_number_of_commits(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {".version": "1.5.0-SNAPSHOT\n"})
    git("init", "--quiet", cwd=here)
    for number in "12":
        git("commit", "--quiet", "--allow-empty", "--message", number, cwd=here)
    git("clone", "--quiet", "--bare", "--depth=1", here.as_uri(), "shallow", cwd=here)
    shutil.rmtree(here / ".git")
    shutil.move(here / "shallow", here / ".git")
    git("config", "core.bare", "false", cwd=here)
    assert main(["build"]) == 2
    assert said(capsys) == (
        "error: .: the version of a snapshot is the number of its commits, and git tells none: "
        "the clone is shallow; fetch all of it"
    )


def test_a_snapshot_needs_commits(here: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write(here, {".version": "1.5.0-SNAPSHOT\n"})
    assert main(["build"]) == 2
    assert said(capsys).startswith(
        "error: .: the version of a snapshot is the number of its commits, and git tells none: fatal: not a git"
    )
    assert not (tmp_path / OUT).exists()
    git("init", "--quiet", cwd=here)
    assert main(["build"]) == 2
    assert "and git tells none: " in said(capsys)


def test_a_release_candidate_is_normalised(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {".version": "1.5.0-RC1\n"})
    assert main(["build", f"{ROOT}/acme/text", "--quiet"]) == 0
    assert "acme_text_slug-1.5.0rc1-py3-none-any.whl" in capsys.readouterr().out


# ── What is not built ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_breaks_a_convention_is_not_built(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {SLUG_BUILD: (here / SLUG_BUILD).read_text().replace("rglobs", "globs")})
    assert main(["build", f"{ROOT}/acme/release/notes"]) == 1
    assert said(capsys) == f"error: {SLUG_BUILD}:7 R3 the sources are globs('*.py'); write: sources = rglobs('*.py'),"
    assert not OUT.exists()
    write(here, {"wheel_matrix.yml": MATRIX + "  waivers: [{component: acme.text.slug, rule: R3, reason: none}]\n"})
    assert main(["build", f"{ROOT}/acme/text"]) == 0


def test_what_lint_finds_below_a_component_keeps_it_from_being_built(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here, {f"{ROOT}/acme/text/slug/deep/BUILD": "resources(name = '_x', sources = [])\n"})
    found = (
        f"{ROOT}/acme/text/slug/deep/BUILD:1 R1 is on level 4 below the root, components are on 3; move its targets to "
        f"{SLUG_BUILD}"
    )
    assert main(["lint"]) == 1
    assert capsys.readouterr().out == f"{found}\n"
    assert main(["build", f"{ROOT}/acme/text"]) == 1
    assert said(capsys) == f"error: {found}"


def test_a_waiver_of_one_convention_waives_no_other(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (here / SLUG_BUILD).read_text().replace("rglobs", "globs").replace(f"'{SLUG}'", "'acme.slug'")
    waiver = f"  waivers: [{{component: {SLUG}, rule: R2, reason: its old name}}]\n"
    write(here, {SLUG_BUILD: text, "wheel_matrix.yml": MATRIX + waiver})
    assert main(["build", f"{ROOT}/acme/text"]) == 1
    assert said(capsys) == f"error: {SLUG_BUILD}:7 R3 the sources are globs('*.py'); write: sources = rglobs('*.py'),"


def test_a_script_has_to_run_a_function(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {TOOLS_BUILD: (here / TOOLS_BUILD).read_text().replace("newest:main", "newest")})
    assert main(["build"]) == 2
    assert said(capsys) == (
        f"error: {TOOLS_BUILD}:26: a console script runs a function, found entry_point 'acme.tools.release.newest' of "
        "'newest-version'; write 'MODULE:FUNCTION'"
    )


def test_files_out_of_the_root_are_not_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (here / SLUG_BUILD).read_text().replace("  provides", "  dependencies = ['gen/thing'],\n  provides")
    write(here, {SLUG_BUILD: text, "gen/thing/BUILD": ""})
    assert main(["build"]) == 2
    assert said(capsys) == (
        f"error: {SLUG_BUILD}:8: it depends on gen/thing, out of the root, which build does not read; "
        "put a copy below the root"
    )


@pytest.mark.parametrize("provides", ["", ", provides = setup_py(name = 'helpers', version = '1')"])
def test_what_depends_on_components_is_no_part_of_one(
    here: Path, capsys: pytest.CaptureFixture[str], provides: str
) -> None:
    text = (
        (here / SLUG_BUILD)
        .read_text()
        .replace("  provides", "  dependencies = ['src/test/python/helpers'],\n  provides")
    )
    helpers = f"python_library(name = 'helpers', sources = rglobs('*.py'){provides})\n"
    write(here, {SLUG_BUILD: text, "src/test/python/helpers/BUILD": helpers})
    assert main(["lint"]) == 1
    assert capsys.readouterr().out == (
        f"{SLUG_BUILD}:8 R4 'src/test/python/helpers' lies among what depends on components, and components do not depend "
        "on it; leave it out\n"
    )
    assert main(["build"]) == 2
    assert said(capsys) == (
        f"error: {SLUG_BUILD}:8: it depends on src/test/python/helpers, out of the root, which build does not read; "
        "put a copy below the root"
    )


def test_a_file_that_the_backend_leaves_out_is_a_failure_and_what_requires_it_is_not_built(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (here / SLUG_BUILD).read_text().replace("  provides", "  dependencies = [':_data'],\n  provides")
    text += "\nresources(\n  name = '_data',\n  sources = globs('*.pyc'),\n)\n"
    write(here, {SLUG_BUILD: text, f"{ROOT}/acme/text/slug/table.pyc": b"1"})
    assert main(["build", "--json", "--jobs=2"]) == 1
    out, err = capsys.readouterr()
    assert err == (
        "error: acme.text.slug: acme_text_slug-1.4.0-py3-none-any.whl lacks acme/text/slug/table.pyc, which is in the "
        "sources\n"
        "error: acme.release.notes: not built, since acme.text.slug failed, which it requires\n"
        "error: acme.tools.release: not built, since acme.text.slug failed, which it requires\n"
        "4 components: 1 built, 0 unchanged, 3 failed\n"
    )
    assert json.loads(out)["failed"] == [NOTES, SLUG, TOOLS]
    assert [path.name for path in OUT.iterdir()] == [VERSION]


def test_a_third_party_requirement_that_is_nowhere_is_a_failure(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {"3rdparty/python/requirements.txt": "packaging==0.0.0.dev999\n"})
    assert main(["build"]) == 1
    error = said(capsys)
    assert "error: acme.tools.release: pip ended with 1:\n" in error
    assert "packaging==0.0.0.dev999" in error


@pytest.mark.parametrize("jobs", ["0", "-1", "x"])
def test_jobs_are_a_positive_number(here: Path, capsys: pytest.CaptureFixture[str], jobs: str) -> None:
    assert (here / ".version").is_file()
    assert main(["build", f"--jobs={jobs}"]) == 2
    assert f"argument --jobs: '{jobs}', expected a number from 1 up" in said(capsys)
