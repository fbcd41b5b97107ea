"""A folder to plan in: a matrix, a public index and an index of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tasks.core.index import ProjectPage
from tasks.core.index_file import IndexFile
from tasks.core.plan import Plan
from tasks.core.project_list import ProjectList

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

FREEBSD = "freebsd_15_1_release_amd64"
DIGEST = "5" * 64
TARGETS = f"""\
public_index: PUBLIC
targets:
  freebsd: {{instance: freebsd/15.1, arch: x86_64, platform_tag: {FREEBSD}, python: [cp312]}}
packages:
"""


class Here:
    """A folder with a matrix, a public index of HTML pages and an index of our own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.public = folder / "public"
        self.public.mkdir()
        self.matrix = folder / "wheel_matrix.yml"
        self.plan = folder / "build" / "plan.json"

    def serve(self, project: str, *files: str) -> None:
        """Put a project on the public index."""
        links = "".join(f'<a href="../files/{file}#sha256={DIGEST}">{file}</a>\n' for file in files)
        (self.public / project).mkdir()
        (self.public / project / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")

    def publish(self, project: str, *files: str, recipes: Sequence[str | None] = ()) -> None:
        """Put a project on our own index, or its next state."""
        simple = self.folder / "dist/index/simple"
        name = canonicalize_name(project)
        keys = recipes or [None] * len(files)
        state = simple / name / "index.json"
        page = ProjectPage.from_json(state.read_bytes(), name) if state.exists() else ProjectPage(name=name)
        page = page.merged(
            IndexFile(filename=file, sha256=DIGEST, recipe=key) for file, key in zip(files, keys, strict=True)
        )
        (simple / name).mkdir(parents=True, exist_ok=True)
        state.write_bytes(page.to_json())
        listing = simple / "index.json"
        listed = ProjectList.from_json(listing.read_bytes()) if listing.exists() else ProjectList()
        listing.write_bytes(listed.merged([page]).to_json())

    def ask(self, packages: str, text: str = TARGETS) -> None:
        self.matrix.write_text(text.replace("PUBLIC", f"file://{self.public}") + packages)

    def planned(self) -> list[str]:
        made = Plan.from_json(self.plan.read_bytes(), "plan.json")
        return [action.wheel.filename for action in made.actions]


def folder_to_plan_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Make a folder the current one, without what the environment may say of planning."""
    monkeypatch.chdir(folder)
    for variable in (
        "TF_BUILD",
        "GITHUB_OUTPUT",
        "GITHUB_STEP_SUMMARY",
        "SPARE_TIRE_INDEX",
        "SPARE_TIRE_MATRIX",
        "SOURCE_DATE_EPOCH",
    ):
        monkeypatch.delenv(variable, raising=False)
    return Here(folder)
