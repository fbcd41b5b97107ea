"""What a build run leaves for others than the person that started it: test results, and a CI's page."""

from __future__ import annotations

import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tasks.build import main
from tests.builds import action, make_sdist, search_path, wheel_name, write_plan

PLAN = Path("build/plan.json")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to run in, with a scratch root of its own, and no CI around."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("PATH", search_path())
    for variable in ("TF_BUILD", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "JOB_DATA", "SPARE_TIRE_ARTIFACT"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def planned(here: Path) -> None:
    """A plan of one package that builds and one that does not."""
    broken = make_sdist(here / "sdists", "broken", before="raise SystemExit('no such luck')")
    write_plan(PLAN, action(broken), action(make_sdist(here / "sdists", "spam")))


@pytest.mark.usefixtures("planned")
def test_junit_has_each_wheel_as_a_test() -> None:
    assert main(["--junit", "out/results.xml"]) == 1
    cases = ET.parse("out/results.xml").iter("testcase")  # noqa: S314 - we have written it
    found = {case.get("name"): [failure.text or "" for failure in case] for case in cases}
    assert found.keys() == {wheel_name("spam"), wheel_name("broken")}
    assert found[wheel_name("spam")] == []
    assert "no such luck" in found[wheel_name("broken")][0]


@pytest.mark.usefixtures("planned")
def test_wheels_of_a_former_run_are_results_too() -> None:
    assert main([]) == 1
    assert main(["--junit", "results.xml"]) == 1
    cases = ET.parse("results.xml").iter("testcase")  # noqa: S314 - we have written it
    assert sorted(str(case.get("name")) for case in cases) == [wheel_name("broken"), wheel_name("spam")]


@pytest.mark.usefixtures("planned")
def test_results_that_cannot_be_written_are_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--junit", "build"]) == 2
    expected = "error: --junit build: the results cannot be written there: Is a directory\n"
    assert capsys.readouterr().err.endswith(expected)


@pytest.mark.usefixtures("planned")
def test_azure_gets_a_summary_and_is_told_of_issues(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_BUILD", "True")
    monkeypatch.setenv("SPARE_TIRE_ARTIFACT", "dist-node-1")
    assert main([]) == 0
    said = capsys.readouterr()
    assert said.out == f"##vso[task.uploadsummary]{here}/build/build.md\n"
    assert said.err.endswith("##vso[task.complete result=SucceededWithIssues]\n")
    report = (here / "build/build.md").read_text()
    assert report.startswith("### 1 wheel, 1 failed\n")
    assert "no such luck" in report
    assert " in the artifact `dist-node-1`.\n" in report


def test_what_stops_a_build_is_in_the_summary(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "summary"))
    assert main([]) == 2
    expected = "### Build was stopped\n\n- build/plan.json: there is no plan; run nox -s plan first\n"
    assert (here / "summary").read_text() == expected


@pytest.mark.usefixtures("planned")
def test_without_a_ci_nothing_is_reported(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    assert capsys.readouterr().out == ""
    assert [path.name for path in (here / "build").iterdir()] == ["plan.json"]
