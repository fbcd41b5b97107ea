"""The readers of spare-tire's own golden files: of each format that it keeps or hands on, what reads it in earnest.

What a reader returns is what a golden file's manifest says that it must find, so it says what later stages rely on.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from tasks import matrixfile
from tasks.core.errors import SpareTireError
from tasks.core.index import HTML_TYPE, ProjectPage
from tasks.core.plan import Plan
from tasks.core.project_list import ProjectList
from tasks.core.provenance import UnfitRecord, recipe_of
from tasks.core.selection import JobData
from tasks.core.simple_page import NotAPage, read_page
from tasks.distdir import UNFIT, yielded
from tasks.receipts import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tasks.core.actions import Action
    from tasks.core.index_file import IndexFile
    from tasks.core.matrix import Entry

UNREADABLE = (SpareTireError, UnfitRecord, NotAPage, *UNFIT, AttributeError)
"""What the readers raise for a file that is not of their format."""


def plan(path: Path) -> dict[str, Any]:
    """Read ``plan.json``: every action as it is built, by the key that a record names."""
    found = Plan.from_json(path.read_bytes(), path.name)
    return {
        "matrix": found.matrix,
        "public_index": found.public_index,
        "sdist_index": found.sdist_index,
        "own_index": found.own_index,
        "own_projects": list(found.own_projects),
        "workers": {name: found.instances[name].worker for name in sorted(found.instances)},
        "visits": [[*place, [action.key for action in made]] for place, made in found.visits().items()],
        "actions": {action.key: _action(action) for action in found.actions},
        "skipped": [[each.package, each.version, each.target, each.python, each.state] for each in found.skipped],
        "errors": [[each.package, each.version, each.target, each.python, each.message] for each in found.errors],
        "warnings": list(found.warnings),
    }


def _action(action: Action) -> dict[str, Any]:
    return {
        "wheel": action.wheel.filename,
        "platforms": list(action.wheel.platforms),
        "target": action.target,
        "needs": dict(action.needs),
        "sdist": [action.sdist.url, action.sdist.sha256],
        "rules": action.rules.to_dict(),
        "imports": list(action.check.imports),
        "native": action.native,
    }


def job_data(path: Path) -> dict[str, Any]:
    """Read what a CI hands to a build node in ``JOB_DATA``: which actions it selects."""
    found = JobData.parse(path.read_text(encoding="utf-8"))
    return {"instance": found.instance, "arch": found.arch, "keys": found.keys, "matrix": found.matrix}


def record(path: Path) -> dict[str, Any]:
    """Read a wheel's build record: whose it is, and the recipe key by which a plan knows the wheel."""
    data = path.read_bytes()
    subject = json.loads(data)["subject"][0]
    sha256 = subject["digest"]["sha256"]
    return {"wheel": subject["name"], "sha256": sha256, "recipe": recipe_of(data, sha256)}


def visit(path: Path) -> list[list[str]]:
    """Read a visit's report: which wheel came of which action."""
    return [[key, kept.filename, kept.sha256] for key, kept in yielded(path.read_bytes())]


def project_page(path: Path) -> dict[str, Any]:
    """Read a project's page, the state of the project in an index."""
    found = ProjectPage.from_json(path.read_bytes(), path.name)
    return {
        "name": found.name,
        "serial": found.serial,
        "versions": list(found.versions),
        "status": [found.settings.status.state, found.settings.status.reason],
        "tracks": list(found.settings.tracks),
        "releases": {version: [one.source, one.info["summary"]] for version, one in found.releases.items()},
        "files": {file.filename: _file(file) for file in found.files},
    }


def _file(file: IndexFile) -> dict[str, Any]:
    return {
        "sha256": file.sha256,
        "size": file.size,
        "upload_time": file.upload_time,
        "requires_python": file.requires_python,
        "core_metadata": file.core_metadata,
        "yanked": file.yanked,
        "recipe": file.recipe,
    }


def project_list(path: Path) -> dict[str, Any]:
    """Read an index's list of projects."""
    found = ProjectList.from_json(path.read_bytes(), path.name)
    projects = {each.name: [each.serial, each.newest, each.settings, each.state] for each in found.projects}
    return {"serial": found.serial, "projects": projects}


def html_page(path: Path) -> dict[str, Any]:
    """Read the HTML page of the project that its folder is named for, as ``plan`` reads an index on the web."""
    name = canonicalize_name(path.parent.name)
    url = f"https://wheels.example.org/simple/{name}/"
    listing = read_page(name, path.read_bytes(), content_type=HTML_TYPE, url=url)
    wheels = [wheel for release in listing.project().releases for wheel in release.wheels]
    return {
        "skipped": listing.skipped,
        "wheels": {wheel.filename: [str(wheel.requires_python or ""), wheel.yanked] for wheel in wheels},
    }


def receipt(path: Path) -> dict[str, Any]:
    """Read the receipts, ``published.json``, of what was published from a ``dist/``; a damaged one is none."""
    receipts = {index: Receipt.read(path.parent, index) for index in json.loads(path.read_bytes())["indexes"]}
    return {
        index: {
            "wheels": {name: [one.project, one.serial, one.state, one.files] for name, one in found.wheels.items()},
            "visits": dict(found.visits),
            "serial": found.serial,
        }
        for index, found in receipts.items()
    }


def matrix(path: Path) -> dict[str, Any]:
    """Read a matrix in the flat form, as ``plan --expand`` writes it."""
    found = matrixfile.parse(path.read_bytes(), path)
    return {
        "index": [found.index, found.index_url, found.public_index],
        "targets": sorted(found.targets),
        "packages": {package.name: list(map(_entry, package.entries)) for package in found.packages},
    }


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "request": entry.text,
        "target": entry.target,
        "upstream": entry.upstream,
        "rules": [[str(each.when or ""), each.rules.to_dict()] for each in entry.rules],
        "imports": list(entry.check.imports),
    }


READERS: Mapping[str, Callable[[Path], object]] = {
    "html_page": html_page,
    "job_data": job_data,
    "matrix": matrix,
    "plan": plan,
    "project_list": project_list,
    "project_page": project_page,
    "receipt": receipt,
    "record": record,
    "visit": visit,
}
"""By format; the golden files of each lie in ``tests/golden/<format>/``."""
