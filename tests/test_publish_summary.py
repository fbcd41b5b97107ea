"""The page of a CI run after publishing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.publish import main
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty directory, on GitHub."""
    for name in ("SPARE_TIRE_INDEX", "SPARE_TIRE_MATRIX", "TF_BUILD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    return tmp_path / "summary"


def test_what_was_published_and_what_was_not_fit(tmp_path: Path, summary: Path) -> None:
    wheel = make_wheel(tmp_path / "dist" / "wheels")
    (tmp_path / "dist" / "wheels" / "eggs-1.0-py3-none-any.whl").write_bytes(b"no wheel")
    assert main([]) == 1
    title, _, _, _, first, second = summary.read_text().splitlines()
    assert title == "### Published to dist/index: 1 published, 1 invalid"
    assert first == f"| {wheel.name} | published |  |"
    assert second.startswith("| eggs-1.0-py3-none-any.whl | invalid | ")


def test_a_dry_run_has_published_nothing(tmp_path: Path, summary: Path) -> None:
    make_wheel(tmp_path / "dist" / "wheels")
    assert main(["--dry-run"]) == 0
    assert not summary.exists()
