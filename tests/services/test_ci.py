from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tasks.core.errors import BadInput, ServiceFailed
from tasks.services import ci

if TYPE_CHECKING:
    from collections.abc import Mapping

AZURE = {
    "TF_BUILD": "True",
    "SYSTEM_COLLECTIONURI": "https://azure.test/team/",
    "SYSTEM_TEAMPROJECT": "our wheels",
    "BUILD_BUILDID": "7",
}
GITHUB = {"GITHUB_SERVER_URL": "https://github.test", "GITHUB_REPOSITORY": "team/wheels", "GITHUB_RUN_ID": "8"}


@pytest.mark.parametrize(
    ("stage", "partly"), [("plan", {1}), ("build", {1, 3}), ("publish", {1})], ids=["plan", "build", "publish"]
)
def test_azure_is_told_of_a_stage_that_has_done_a_part(
    stage: str, partly: set[int], capsys: pytest.CaptureFixture[str]
) -> None:
    told = set()
    for code in (0, 1, 2, 3, 4, 130):
        ended = ci.ended(stage, code, AZURE)
        said = capsys.readouterr()
        assert said.out == ""
        if said.err:
            assert (said.err, ended) == ("##vso[task.complete result=SucceededWithIssues]\n", 0)
            told.add(code)
        else:
            assert ended == code
    assert told == partly


def test_elsewhere_nobody_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert ci.ended("plan", 1, GITHUB) == 1
    ci.summarize("plan", "# x", result_on_stdout=False, environ={})
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_summary_goes_to_azure_in_a_file_that_stays_until_the_job_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    environ = {**AZURE, "AGENT_TEMPDIRECTORY": str(tmp_path)}
    ci.summarize("build", "# x\n", result_on_stdout=as_json, environ=environ)
    said = capsys.readouterr()
    assert (said.err if as_json else said.out) == f"##vso[task.uploadsummary]{tmp_path}/build.md\n"
    assert (said.out if as_json else said.err) == ""
    assert (tmp_path / "build.md").read_text() == "# x\n"


def test_without_a_directory_of_the_agents_it_lies_in_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ci.summarize("plan", "# x\n", result_on_stdout=False, environ=AZURE)
    assert capsys.readouterr().out == f"##vso[task.uploadsummary]{tmp_path}/build/plan.md\n"


def test_a_summary_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environ = {**AZURE, "AGENT_TEMPDIRECTORY": str(tmp_path / "file")}
    with pytest.raises(BadInput, match=r"/file/plan\.md: the summary cannot be written: "):
        ci.summarize("plan", "# x\n", result_on_stdout=False, environ=environ)


def test_summaries_of_githubs_steps_add_up(tmp_path: Path) -> None:
    environ = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    ci.summarize("plan", "# x\n", result_on_stdout=False, environ=environ)
    ci.summarize("build", "# y\n", result_on_stdout=False, environ=environ)
    assert (tmp_path / "summary").read_text() == "# x\n# y\n"


def test_what_stopped_a_stage_is_on_the_page_and_stops_it_still(tmp_path: Path) -> None:
    def stopped(_chosen: None, _terminal: None) -> int:
        raise ServiceFailed("https://user:pw@x.test/ is <gone>", "two")

    environ = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    with pytest.raises(ServiceFailed, match=r"is <gone>\ntwo$"):
        ci.telling("build", stopped, environ)(None, None)
    said = "### Build was stopped\n\n- https://x.test/ is \\<gone\\>\n- two\n"
    assert (tmp_path / "summary").read_text() == said


def test_what_stopped_a_stage_takes_the_place_of_no_other_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {**AZURE, "AGENT_TEMPDIRECTORY": str(tmp_path)}

    def partly(_chosen: None, _terminal: None) -> int:
        ci.summarize("build", "# done\n", result_on_stdout=False, environ=environ)
        raise ServiceFailed("gone")

    with pytest.raises(ServiceFailed, match=r"^gone$"):
        ci.telling("build", partly, environ)(None, None)
    files = [line.removeprefix("##vso[task.uploadsummary]") for line in capsys.readouterr().out.splitlines()]
    assert [Path(file).read_text() for file in files] == ["# done\n", "### Build was stopped\n\n- gone\n"]


def test_a_stage_that_is_not_stopped_ends_as_it_does(tmp_path: Path) -> None:
    def partly(chosen: int, terminal: int) -> int:
        return chosen + terminal

    environ = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    assert ci.telling("build", partly, environ)(1, 3) == 4
    assert not (tmp_path / "summary").exists()


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        (
            AZURE,
            "[dist-x-1](https://azure.test/team/our%20wheels/_build/results?buildId=7&view=artifacts&type=publishedArtifacts)",
        ),
        (GITHUB, "[dist-x-1](https://github.test/team/wheels/actions/runs/8#artifacts)"),
        ({}, "`dist-x-1`"),
    ],
    ids=["azure", "github", "none"],
)
def test_an_artifact_has_a_link_where_it_can(environ: Mapping[str, str], shown: str) -> None:
    assert ci.artifact({**environ, "SPARE_TIRE_ARTIFACT": "dist-x-1"}) == shown


def test_no_artifact_is_named_where_the_pipeline_names_none() -> None:
    assert ci.artifact(AZURE) is None
