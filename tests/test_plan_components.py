"""A monorepo's own packages in the plan: each is one wheel, built of an sdist of its sources."""

from __future__ import annotations

import json
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks import plan
from tasks.core.index import ProjectPage
from tasks.core.plan import Plan
from tasks.core.project_list import ProjectList
from tests.monorepos import ROOT, copy_example, write
from tests.plans import folder_to_plan_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.core.actions import Action
    from tests.plans import Here

NAMES = ["acme.release.notes", "acme.release.version", "acme.text.slug", "acme.tools.release"]
SLUG, TOOLS = f"{ROOT}/acme/text/slug", f"{ROOT}/acme/tools/release"
WHEELS = {name: f"{name.replace('.', '_')}-1.4.0-py3-none-any.whl" for name in NAMES}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    copy_example(tmp_path)
    return folder_to_plan_in(tmp_path, monkeypatch)


def planned(here: Here, *options: str) -> dict[str, Action]:
    assert plan.main(["--quiet", *options]) == 0
    return {action.package: action for action in Plan.from_json(here.plan.read_bytes(), "plan.json").actions}


def change(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def test_components_are_planned_like_any_package(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    actions = planned(here)
    assert list(actions) == NAMES
    tools = actions["acme.tools.release"]
    assert (tools.version.public, tools.target, tools.instance, tools.native) == ("1.4.0", "components", "local", False)
    assert tools.check.to_dict() == {
        "import": ["acme.tools.release"],
        "requires": [],
        "run": "newest-version --help && release-notes --help",
    }
    assert capsys.readouterr() == ("", "")


def test_each_has_an_sdist_of_its_sources_beside_the_plan(here: Here) -> None:
    assert plan.main(["--quiet", "--plan", "there/x.json"]) == 0
    assert not here.plan.exists()
    made = Plan.from_json(Path("there/x.json").read_bytes(), "x.json")
    urls = {action.package: action.sdist.url for action in made.actions}
    assert urls["acme.text.slug"] == "file:x.sources/acme_text_slug-1.4.0.tar.gz"
    with tarfile.open("there/x.sources/acme_text_slug-1.4.0.tar.gz") as archive:
        held = {member.name: archive.extractfile(member) for member in archive}
        files = {name: file.read() for name, file in held.items() if file}
    assert sorted(files) == [
        f"acme_text_slug-1.4.0/{name}" for name in ("PKG-INFO", "acme/text/slug/__init__.py", "pyproject.toml")
    ]
    assert files["acme_text_slug-1.4.0/acme/text/slug/__init__.py"] == Path(f"{SLUG}/__init__.py").read_bytes()
    assert files["acme_text_slug-1.4.0/PKG-INFO"] == b"Metadata-Version: 2.1\nName: acme.text.slug\nVersion: 1.4.0\n"


def test_the_same_sources_are_the_same_plan_wherever_they_lie(
    here: Here, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = planned(here)
    data, sdists = here.plan.read_bytes(), snapshot()
    assert str(here.folder) not in data.decode()
    other = tmp_path_factory.mktemp("other")
    copy_example(other)
    Path(f"{other}/{SLUG}/__init__.py").chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(other)
        assert plan.main(["--quiet"]) == 0
        assert (Path("build/plan.json").read_bytes(), snapshot()) == (data, sdists)
    before = {path.name: path.stat().st_ino for path in Path("build/plan.sources").iterdir()}
    assert planned(here) == first
    assert {path.name: path.stat().st_ino for path in Path("build/plan.sources").iterdir()} == before


def snapshot() -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in Path("build/plan.sources").iterdir()}


def test_what_requires_a_changed_component_is_planned_again_too(here: Here) -> None:
    before = planned(here)
    change(f"{SLUG}/__init__.py", "import re\n", "import re  # changed\n")
    after = planned(here)
    assert {name for name in NAMES if before[name].key != after[name].key} == {*NAMES} - {"acme.release.version"}
    assert before["acme.tools.release"].sdist == after["acme.tools.release"].sdist


def test_what_is_published_of_the_same_sources_is_planned_no_more(here: Here) -> None:
    for name, action in planned(here).items():
        here.publish(name, WHEELS[name], recipes=[action.key])
    assert planned(here) == {}
    for path in Path("build/plan.sources").iterdir():
        path.unlink()
    assert planned(here) == {}
    assert list(Path("build/plan.sources").iterdir()) == []


def test_other_sources_under_a_published_version_are_refused(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    for name, action in planned(here).items():
        here.publish(name, WHEELS[name], recipes=[action.key])
    change(f"{SLUG}/__init__.py", "import re\n", "import re  # changed\n")
    assert plan.main([]) == 4
    errors = [
        line.partition(" (for ")[0] for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")
    ]
    assert errors == [
        f"error: {name} 1.4.0: {WHEELS[name]} is published, and was built of other sources or by other tools; raise the version"
        for name in NAMES
        if name != "acme.release.version"
    ]
    write(here.folder, {".version": "1.4.1\n"})
    assert list(planned(here)) == NAMES


def test_a_yanked_wheel_has_its_version_taken(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    action = planned(here)["acme.text.slug"]
    here.publish("acme.text.slug", WHEELS["acme.text.slug"], recipes=[action.key])
    page = here.folder / "dist/index/simple/acme-text-slug/index.json"
    made = ProjectPage.from_json(page.read_bytes(), "acme-text-slug")
    yanked = replace(made, files=tuple(replace(file, yanked="wrong") for file in made.files))
    page.write_bytes(yanked.to_json())
    listing = here.folder / "dist/index/simple/index.json"
    listing.write_bytes(ProjectList().merged([yanked]).to_json())
    assert plan.main(["--package", "acme.text.slug"]) == 4
    said = capsys.readouterr().err.splitlines()[1].partition(" (for ")[0]
    wheel = WHEELS["acme.text.slug"]
    assert said == f"error: acme.text.slug 1.4.0: {wheel} is published, and is yanked; raise the version"


def test_of_what_was_published_without_a_record_nothing_is_known(here: Here) -> None:
    here.publish("acme.text.slug", WHEELS["acme.text.slug"])
    assert list(planned(here)) == [name for name in NAMES if name != "acme.text.slug"]


def test_what_breaks_a_convention_is_an_error_and_the_others_are_planned(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    change(f"{SLUG}/BUILD", "rglobs", "globs")
    assert plan.main([]) == 1
    errors = [
        line.rpartition(" (for ")[0] for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")
    ]
    assert errors == [
        "error: acme.release.notes 1.4.0: it requires acme.text.slug, which is not planned",
        f"error: acme.text.slug 1.4.0: {SLUG}/BUILD:7 R3 the sources are globs('*.py'); write: sources = rglobs('*.py'),",
        "error: acme.tools.release 1.4.0: it requires acme.release.notes, which is not planned",
    ]
    assert here.planned() == ["acme_release_version-1.4.0-" + here.planned()[0].split("-", 2)[2]]
    write(here.folder, {"wheel_matrix.yml": here.matrix.read_text() + WAIVER})
    assert list(planned(here)) == NAMES


def test_what_conventions_allow_and_no_backend_builds_is_an_error_of_that_component(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    change(f"{TOOLS}/BUILD", "newest:main", "newest")
    assert plan.main([]) == 1
    assert [line.rpartition(" (for ")[0] for line in capsys.readouterr().err.splitlines() if "error: " in line] == [
        f"error: acme.tools.release 1.4.0: {TOOLS}/BUILD:26: a console script runs a function, found entry_point 'acme.tools.release.newest' of 'newest-version'; write 'MODULE:FUNCTION'"
    ]
    assert len(here.planned()) == 3


WAIVER = "  waivers: [{component: acme.text.slug, rule: R3, reason: history}]\n"


def test_a_build_file_that_cannot_be_read_is_bad_input(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    planned(here)
    write(here.folder, {f"{SLUG}/BUILD": "x = 1\n"})
    assert plan.main([]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {SLUG}/BUILD:1: expected import os or a target")
    assert not here.plan.exists()


def test_a_question_writes_no_sdist(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main(["--explain", "acme-text-slug"]) == 0
    assert "acme.text.slug 1.4.0: to build" in capsys.readouterr().out.replace("acme-text-slug", "acme.text.slug")
    assert plan.main(["--retire"]) == 0
    assert plan.main(["--expand", "--json"]) == 0
    assert not (here.folder / "build").exists()


def test_what_the_public_index_has_made_needless_is_asked_without_the_components(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here.folder, {f"{SLUG}/BUILD": "x = 1\n"})
    assert plan.main(["--retire", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out) == {"errors": [], "needless": []}


def test_one_component_can_be_planned_alone(here: Here) -> None:
    assert list(planned(here, "--package", "acme.tools_release")) == ["acme.tools.release"]
    assert list(planned(here, "--target", "components")) == NAMES


def test_a_component_is_no_package_of_the_matrix_besides(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    text = here.matrix.read_text()
    here.matrix.write_text(f"targets: {{host: {{instance: here}}}}\ninstances: {{here: {{worker: local}}}}\n{text}")
    assert planned(here)["acme.text.slug"].instance == "here"
    with here.matrix.open("a") as matrix:
        matrix.write("packages: {acme-text.slug: {versions: ['1.4.0'], targets: [host]}}\n")
    assert plan.main(["--quiet"]) == 2
    assert capsys.readouterr().err == (
        "error: packages.acme-text.slug is the name of the component acme.text.slug: leave it out\n"
    )


def test_a_target_named_components_says_where_they_are_built(here: Here) -> None:
    target = "{instance: freebsd/15.1, arch: x86_64, platform_tag: freebsd_15_1_release_amd64, python: [cp312, cp314t, cp313]}"
    here.matrix.write_text(f"targets: {{components: {target}}}\n{here.matrix.read_text()}")
    action = planned(here)["acme.text.slug"]
    assert (action.instance, action.python.tag) == ("freebsd/15.1", "cp313")


def test_a_snapshot_is_planned_by_its_commits(here: Here) -> None:
    write(here.folder, {".version": "1.5.0-SNAPSHOT\n"})
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    for arguments in (("init", "--quiet"), ("commit", "--quiet", "--allow-empty", "--message=1")):
        subprocess.run(["git", *identity, *arguments], check=True)
    assert str(planned(here)["acme.text.slug"].version) == "1.5.0.dev1"


def test_the_shipped_matrix_asks_for_the_components_of_the_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = Path(__file__).parent.parent
    monkeypatch.chdir(tmp_path)
    options = [
        "--matrix",
        str(repository / "wheel_matrix.yml"),
        "--target",
        "components",
        "--index",
        "nowhere",
        "--json",
    ]
    assert plan.main(options) == 0
    assert [action["package"] for action in json.loads(capsys.readouterr().out)["actions"]] == NAMES


def test_a_plan_of_other_targets_does_not_read_the_monorepo(here: Here) -> None:
    here.serve("x", "x-1.0.tar.gz")
    (here.folder / "wheel_matrix.yml").write_text(
        f"""\
public_index: file://{here.public}
components: {{root: gone/src, buildroot: gone, version_file: gone/.version}}
targets:
  freebsd: {{instance: freebsd/15.1, arch: x86_64, platform_tag: freebsd_15_1_release_amd64, python: [cp312]}}
packages: {{X: [latest]}}
"""
    )

    assert plan.main(["--quiet"]) == 2
    assert list(planned(here, "--target", "freebsd*")) == ["X"]
