"""Another reader of the Simple API, pypi-simple, finds on every page what publishing put there, in both forms."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from pypi_simple import DistributionPackage, IndexPage, ProjectPage, ProjectStatus

from tasks.publish import main
from tests.attested import attestation, provenance, statement
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["closed", "demo-project", "plain"]
URL = "https://wheels.example.test/"
MATRIX = f"""
index: index
index_url: {URL}
instances:
  local: {{worker: local}}
targets:
  host: {{instance: local}}
packages:
  Demo.Project:
    versions: [latest]
    status: {{state: deprecated, reason: 'use "other" & <more>'}}
    tracks: [https://a.example.test/simple/demo-project/]
    alternate_locations: [https://b.example.test/demo-project/, https://c.example.test/demo-project/]
  closed: {{versions: [latest], status: {{state: quarantined}}}}
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with every field that a page can have."""
    folder = tmp_path_factory.mktemp("readers")
    wheels = folder / "dist" / "wheels"
    make_wheel(wheels, "plain")
    make_wheel(wheels, "closed")
    make_wheel(wheels, "Demo.Project", "1.0+x", headers="Requires-Python: >=3.9,<4\n")
    attested = make_wheel(wheels, "Demo.Project", "2.0")
    make_wheel(wheels, "Demo.Project", "3.0")
    made = provenance(attestation(statement(attested.name, hashlib.sha256(attested.read_bytes()).hexdigest())))
    attested.with_name(f"{attested.name}.provenance").write_text(json.dumps(made))
    dist, where = ["--dist", str(folder / "dist")], ["--index", str(folder / "index"), "--quiet"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1767323045")
        patch.chdir(folder)
        assert main([*dist, *where]) == 0
        (folder / "wheel_matrix.yml").write_text(MATRIX)
        assert main([*dist, *where]) == 0
        assert main([*where, "--yank", "Demo.Project-3.0-py3-none-any.whl", "--reason", "<b> & 'more'"]) == 0
        assert main([*where, "--yank", "Demo.Project-1.0+x-py3-none-any.whl"]) == 0
    return folder / "index"


def read(index: Path, name: str) -> tuple[ProjectPage, ProjectPage]:
    """Return a project's page as it is read from JSON and from HTML."""
    folder, base = index / "simple" / name, f"{URL}simple/{name}/"
    from_json = ProjectPage.from_json_data(json.loads((folder / "index.json").read_bytes()), base_url=base)
    return from_json, ProjectPage.from_html(name, (folder / "index.html").read_bytes(), base_url=base)


def in_both(package: DistributionPackage) -> DistributionPackage:
    """Return what HTML can say of a file: not its size and time; "no reason" is empty there, and nothing in JSON."""
    return replace(package, size=None, upload_time=None, yanked_reason=package.yanked_reason or None)


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_of_a_page_say_the_same(index: Path, name: str) -> None:
    from_json, from_html = read(index, name)

    assert [in_both(package) for package in from_json.packages] == [in_both(package) for package in from_html.packages]
    for field in ("project", "repository_version", "tracks", "alternate_locations", "status", "status_reason"):
        assert getattr(from_json, field) == getattr(from_html, field), field


def test_both_forms_of_the_list_say_the_same(index: Path) -> None:
    from_json = IndexPage.from_json_data(json.loads((index / "simple" / "index.json").read_bytes()))
    from_html = IndexPage.from_html((index / "simple" / "index.html").read_bytes())

    assert from_json.projects == from_html.projects == NAMES
    assert from_json.repository_version == from_html.repository_version == "1.4"


def test_a_page_says_what_was_published_and_what_the_matrix_says(index: Path) -> None:
    page, _ = read(index, "demo-project")

    assert (page.status, page.status_reason) == (ProjectStatus.DEPRECATED, 'use "other" & <more>')
    assert page.tracks == ["https://a.example.test/simple/demo-project/"]
    assert page.alternate_locations == [f"https://{host}.example.test/demo-project/" for host in "bc"]
    assert page.versions == ["1.0+x", "2.0", "3.0"]
    first, second, third = page.packages
    wheel = index / "packages" / "Demo.Project-1.0+x-py3-none-any.whl"
    assert first.url == f"{URL}packages/Demo.Project-1.0%2Bx-py3-none-any.whl"
    assert first.digests == {"sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()}
    metadata = wheel.with_name(f"{wheel.name}.metadata").read_bytes()
    assert first.metadata_digests == {"sha256": hashlib.sha256(metadata).hexdigest()}
    assert (first.requires_python, first.size) == (">=3.9,<4", wheel.stat().st_size)
    assert first.upload_time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert [(each.is_yanked, each.yanked_reason) for each in (first, second, third)] == [
        (True, None),
        (False, None),
        (True, "<b> & 'more'"),
    ]
    assert [each.provenance_url for each in (first, second, third)] == [
        None,
        f"{URL}packages/Demo.Project-2.0-py3-none-any.whl.provenance",
        None,
    ]


def test_a_quarantined_project_offers_nothing(index: Path) -> None:
    for page in read(index, "closed"):
        assert (page.status, page.packages) == (ProjectStatus.QUARANTINED, [])
