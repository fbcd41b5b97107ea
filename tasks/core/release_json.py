"""Release JSON, as older tools ask for it: ``pypi/<project>/json`` and ``pypi/<project>/<version>/json``.

No standard has it; its shape is the public index's own. What only that index knows (downloads, vulnerabilities, long
descriptions) has the value that it gives where it knows nothing. A URL is absolute where the page's settings say where
the index is, else relative to the document.
"""

from __future__ import annotations

from email.parser import HeaderParser
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from packaging.version import InvalidVersion, Version

from tasks.core.simple_json import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName

    from tasks.core.index import ProjectPage
    from tasks.core.index_file import IndexFile

    ByVersion = Mapping[str, Sequence[IndexFile]]

_TEXTS = {
    "name": "Name",
    "summary": "Summary",
    "author": "Author",
    "author_email": "Author-email",
    "maintainer": "Maintainer",
    "maintainer_email": "Maintainer-email",
    "home_page": "Home-page",
    "license": "License",
    "license_expression": "License-Expression",
    "keywords": "Keywords",
    "requires_python": "Requires-Python",
}
_LISTS = {"classifiers": "Classifier", "requires_dist": "Requires-Dist", "provides_extra": "Provides-Extra"}
_UNKNOWN: dict[str, Any] = {
    "bugtrack_url": None,
    "description": None,
    "description_content_type": None,
    "docs_url": None,
    "download_url": None,
    "downloads": {"last_day": -1, "last_month": -1, "last_week": -1},
    "package_url": None,
    "platform": None,
    "project_url": None,
    "release_url": None,
}


def release_path(project: NormalizedName, version: str | None = None) -> str:
    """Where the release JSON of a project, or of one of its versions, lies in the index."""
    return f"pypi/{project}/{version}/json" if version else f"pypi/{project}/json"


def info_of(metadata: bytes) -> dict[str, Any]:
    """Return what a wheel's METADATA say of its version, as release JSON names it; what they leave out is left out."""
    headers = HeaderParser().parsestr(metadata.decode("utf-8", "replace"))
    texts = {key: headers.get(header) for key, header in _TEXTS.items()}
    lists = {key: headers.get_all(header) for key, header in _LISTS.items()}
    urls = [label.partition(",") for label in headers.get_all("Project-URL", [])]
    made: dict[str, Any] = {**texts, **lists, "project_urls": {label.strip(): url.strip() for label, _, url in urls}}
    return {key: value for key, value in made.items() if value}


def project_json(page: ProjectPage, by_version: ByVersion | None = None) -> bytes:
    """Render a project's release JSON: its newest version, and the files of every one.

    ``by_version`` are the page's :func:`files_by_version`, for who has them already.
    """
    by_version = files_by_version(page) if by_version is None else by_version
    releases = {_normal(known): list[dict[str, Any]]() for known in page.versions}
    releases |= {version: [_file(file, page, "../..") for file in files] for version, files in by_version.items()}
    newest = page.newest
    info = _info(page, newest, by_version.get(newest or "", []))
    urls = releases.get(newest or "", [])
    return canonical(_document(info, urls, page.serial) | {"releases": releases})


def version_json(page: ProjectPage, version: str, by_version: ByVersion | None = None) -> bytes:
    """Render the release JSON of one version, which is in its normal form."""
    files = (files_by_version(page) if by_version is None else by_version).get(version, [])
    release = page.releases.get(version)
    urls = [_file(file, page, "../../..") for file in files]
    return canonical(_document(_info(page, version, files), urls, release.serial if release else 0))


def files_by_version(page: ProjectPage) -> ByVersion:
    """Return the files that are offered, by name, of each version in its normal form."""
    found: dict[str, list[IndexFile]] = {}
    for file in sorted(page.offered, key=lambda file: file.filename):
        if file.version is not None:
            found.setdefault(str(file.version), []).append(file)
    return found


def _document(info: dict[str, Any], urls: list[dict[str, Any]], serial: int) -> dict[str, Any]:
    return {"info": info, "last_serial": serial, "urls": urls, "vulnerabilities": []}


def _info(page: ProjectPage, version: str | None, files: Sequence[IndexFile]) -> dict[str, Any]:
    release = page.releases.get(version) if version else None
    reasons = [file.yanked for file in files if file.yanked is not None]
    yanked = bool(files) and len(reasons) == len(files)
    return {
        **_UNKNOWN,
        **dict.fromkeys(_TEXTS),
        **dict.fromkeys(_LISTS),
        "classifiers": [],
        "name": str(page.name),
        "project_urls": None,
        **(release.info if release else {}),
        "version": version,
        "yanked": yanked,
        "yanked_reason": (reasons[0] or None) if yanked else None,
    }


def _file(file: IndexFile, page: ProjectPage, root: str) -> dict[str, Any]:
    time = file.upload_time
    wheel = file.filename.endswith(".whl")
    return {
        "comment_text": "",
        "digests": {**file.other_hashes, "sha256": file.sha256},
        "downloads": -1,
        "filename": file.filename,
        "has_sig": False,
        "md5_digest": file.other_hashes.get("md5"),
        "packagetype": "bdist_wheel" if wheel else "sdist",
        "python_version": file.filename.split("-")[-3] if wheel else "source",
        "requires_python": file.requires_python,
        "size": file.size,
        "upload_time": time and time.partition(".")[0].removesuffix("Z"),
        "upload_time_iso_8601": time,
        "url": file.url or f"{page.settings.index_url or root + '/'}packages/{quote(file.filename)}",
        "yanked": file.yanked is not None,
        "yanked_reason": file.yanked or None,
    }


def _normal(version: str) -> str:
    try:
        return str(Version(version))
    except InvalidVersion:
        return version
