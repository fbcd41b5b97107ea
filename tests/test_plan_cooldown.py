from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tasks import plan
from tests.plans import FREEBSD, TARGETS, Here, folder_to_plan_in
from tests.services.web_server import JSON, Reply, web_server

if TYPE_CHECKING:
    from pathlib import Path

RELEASES = {
    "meta": {"api-version": "1.1"},
    "name": "x",
    "files": [
        {
            "filename": f"x-{version}.tar.gz",
            "url": f"../files/x-{version}.tar.gz",
            "hashes": {"sha256": "5" * 64},
            "upload-time": f"{day}T12:00:00Z",
        }
        for version, day in (("1.0", "2026-01-01"), ("1.1", "2026-01-08"), ("1.2", "2026-01-14"))
    ],
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    return folder_to_plan_in(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("epoch", "asked", "version"),
    [
        ("2026-01-15T11:00:00+00:00", "latest", "1.0"),  # 1.1 is 6 days and 23 hours old
        ("2026-01-15T12:00:00+00:00", "latest", "1.1"),
        ("2026-01-21T12:00:00+00:00", "latest", "1.2"),
        ("2026-01-15T11:00:00+00:00", ">=1.1", "1.2"),
        ("2026-01-15T11:00:00+00:00", "1.2", "1.2"),
    ],
)
def test_the_cooldown_keeps_young_releases_out_of_latest(
    here: Here, monkeypatch: pytest.MonkeyPatch, epoch: str, asked: str, version: str
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int(datetime.fromisoformat(epoch).timestamp())))
    with web_server() as web:
        page = Reply(body=json.dumps(RELEASES).encode(), headers={"Content-Type": JSON})
        web.replies["/simple/x/"] = page
        here.ask(f"  X: [{asked!r}]\n", TARGETS.replace("PUBLIC", f"{web.url}/simple\ncooldown: 7d"))
        assert plan.main([]) == 0
    assert here.planned() == [f"x-{version}-cp312-cp312-{FREEBSD}.whl"]


def test_without_source_date_epoch_the_clock_counts(here: Here) -> None:
    with web_server() as web:
        young = {**RELEASES["files"][0], "upload-time": datetime.now(UTC).isoformat()}  # type: ignore[index]
        page = {**RELEASES, "files": [young]}
        web.replies["/simple/x/"] = Reply(body=json.dumps(page).encode(), headers={"Content-Type": JSON})
        here.ask("  X: [latest]\n", TARGETS.replace("PUBLIC", f"{web.url}/simple\ncooldown: 1h"))
        assert plan.main(["--json"]) == 1
    (error,) = json.loads(here.plan.read_bytes())["errors"]
    assert error["message"] == "X has no release that the cooldown admits: 1.0 is the newest"


def test_a_cooldown_where_the_public_index_gives_no_dates_is_an_error_of_those_wheels(
    here: Here, capsys: pytest.CaptureFixture[str]
) -> None:
    here.serve("x", "x-1.0.tar.gz")
    here.ask("  X: [latest, '1.0']\n", "cooldown: 7d\n" + TARGETS)
    assert plan.main([]) == 1
    assert here.planned() == [f"x-1.0-cp312-cp312-{FREEBSD}.whl"]
    said = "error: X latest: X 1.0: the public index gives no upload time, which the cooldown needs (for freebsd cp312)"
    assert said in capsys.readouterr().err.splitlines()


def test_a_wrong_source_date_epoch_is_exit_2(
    here: Here, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    here.serve("x", "x-1.0.tar.gz")
    here.ask("  X: [latest]\n", "cooldown: 7d\n" + TARGETS)
    assert plan.main([]) == 2
    assert "error: SOURCE_DATE_EPOCH is 'yesterday', expected seconds since 1970" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["7", "7 days", "0d", "-1d", "1.5d", "99999d"])
def test_a_cooldown_that_is_no_age_is_exit_2(here: Here, capsys: pytest.CaptureFixture[str], wrong: str) -> None:
    here.ask("  X: [latest]\n", f"cooldown: {wrong}\n" + TARGETS)
    assert plan.main([]) == 2
    assert (
        f"error: wheel_matrix.yml:1: cooldown: expected an age such as 7d or 36h, found '{wrong}'"
        in capsys.readouterr().err.splitlines()
    )


def test_the_expanded_matrix_has_the_cooldown(here: Here, capsys: pytest.CaptureFixture[str]) -> None:
    here.ask("  X: [latest]\n", "cooldown: 1w\n" + TARGETS)
    assert plan.main(["--expand", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cooldown"] == "168h"
