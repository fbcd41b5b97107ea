"""What the tests of publishing share: a place to publish from, and looks at what was published."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.core.index import ProjectPage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

ROOT = Path(__file__).parent.parent
EPOCH = "1767323045"
EPOCH_TIME = "2026-01-02T03:04:05.000000Z"


def folder_to_publish_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty directory that is the working one, on a day that does not change."""
    for name in ("SPARE_TIRE_INDEX", "SPARE_TIRE_MATRIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environment(**more: str) -> Mapping[str, str]:
    """Return an environment in which no installer is configured otherwise, and our package is found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    return {**kept, "PYTHONPATH": str(ROOT), "PIP_CONFIG_FILE": os.devnull, "NO_PROXY": "127.0.0.1", **more}


def snapshot(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def page(index: Path, name: str = "demo") -> ProjectPage:
    path = index / "simple" / name / "index.json"
    return ProjectPage.from_json(path.read_bytes(), str(path))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_record(wheel: Path, sha256: str, recipe: str = "k1") -> bytes:
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": wheel.name, "digest": {"sha256": sha256}}],
        "predicate": {"buildDefinition": {"internalParameters": {"recipeKey": recipe}}},
    }
    path = wheel.parent.parent / "records" / f"{wheel.name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(statement))
    return path.read_bytes()


def errors(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()
