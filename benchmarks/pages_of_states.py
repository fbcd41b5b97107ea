"""Renders an index's pages from its states: what ``bench_pages`` times, as a program of its own.

Usage: ``python -m benchmarks.pages_of_states STATES OUTPUT [releases]``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tasks.core.index import LIST_HTML_PATH, LIST_PATH, ProjectPage, page_html_path, page_path
from tasks.core.project_list import ProjectList
from tasks.core.release_json import files_by_version, project_json, release_path, version_json
from tasks.pages import Pages


def render(states: Path, output: Path, *, releases: bool) -> None:
    """Render the pages of an index from its states, and write them; a state is its project's JSON page."""
    pages = Pages()
    made = []
    for path in sorted(states.glob("*.json")):
        state = path.read_bytes()
        page = ProjectPage.from_json(state, str(path))
        made.append(page)
        write(output, page_path(page.name), state)
        write(output, page_html_path(page.name), pages.project(page))
        if releases:
            files = files_by_version(page)
            write(output, release_path(page.name), project_json(page, files))
            for version in page.releases:
                write(output, release_path(page.name, version), version_json(page, version, files))
    listed = ProjectList().merged(made)
    write(output, LIST_PATH, listed.to_json())
    write(output, LIST_HTML_PATH, pages.projects(listed))
    write(output, "index.html", pages.home(listed))


def write(output: Path, path: str, data: bytes) -> None:
    """Write a file at once, as dumb-pypi does; what a store does besides is not what is measured."""
    target = output / path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(data)
    part.replace(target)


if __name__ == "__main__":
    render(Path(sys.argv[1]), Path(sys.argv[2]), releases="releases" in sys.argv)
