"""The harness on small pipelines, whose steps are real scripts."""

from __future__ import annotations

import json
import subprocess
from textwrap import dedent, indent
from typing import TYPE_CHECKING

import pytest

from tests.pipeline.azure_file import read
from tests.pipeline.results import FAILED, ISSUES, SKIPPED, SUCCEEDED, Event, worst
from tests.pipeline.run import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.pipeline.results import Run

HEAD = """\
trigger: {branches: {include: [main]}}
pr: {branches: {include: ['*']}}
schedules: []
variables:
  image: some-image
  greeting: hello $(whom)
  either: $[ coalesce(variables['nothing'], variables['whom']) ]
stages:
"""
JOB = """\
- stage: {stage}
{more}  jobs:
  - job: {stage}
    pool: {{vmImage: $(image)}}
    steps:
"""


def stage(name: str, steps: str, more: str = "") -> str:
    shown = indent(dedent(more), "  ")
    return JOB.format(stage=name, more=shown) + indent(dedent(steps), "    ")


def do(folder: Path, *stages: str, event: Event | None = None) -> Run:
    repository = folder / "repository"
    repository.mkdir()
    (repository / "file.txt").write_text("from the repository\n")
    nobody = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.invalid"]
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message=it"]):
        subprocess.run(["git", *nobody, *arguments], cwd=repository, check=True, capture_output=True)
    file = folder / "azure-pipelines.yml"
    file.write_text(HEAD + "".join(stages), encoding="utf-8")
    return run(read(file), event or Event(variables={"whom": "world"}), repository, folder / "run")


def test_a_step_runs_in_a_clone_with_its_macros_filled_and_variables_as_environment(tmp_path: Path) -> None:
    done = do(
        tmp_path,
        stage(
            "a",
            """\
        - script: cat file.txt; echo "$(greeting), $(EITHER), $UNKNOWN, $GREETING, $BUILD_REASON, $TF_BUILD"
          env: {UNKNOWN: $(unknown)}
    """,
        ),
    )
    said = "hello world, world, $(unknown), hello world, IndividualCI, True"
    assert done.steps[0].log == f"from the repository\n{said}\n"


def test_each_agent_has_an_empty_home(tmp_path: Path) -> None:
    done = do(tmp_path, stage("a", "- script: touch ~/mine; ls -A ~\n"), stage("b", "- script: ls -A ~\n"))
    assert [step.log for step in done.steps] == ["mine\n", ""]


def test_our_environment_is_not_the_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARE_TIRE_INDEX", "ours")
    monkeypatch.setenv("PIP_QUIET", "1")
    done = do(tmp_path, stage("a", '- script: echo "$SPARE_TIRE_INDEX:$PIP_QUIET"\n'))
    assert done.steps[0].log == ":1\n"


def test_a_secret_reaches_only_the_step_that_names_it(tmp_path: Path) -> None:
    event = Event(variables={"whom": "world"}, secrets={"KEY": "hunter2"})
    done = do(
        tmp_path,
        stage(
            "a",
            """\
        - script: echo "$KEY"
        - script: test "$OTHER" = hunter2
          env: {OTHER: $(KEY)}
    """,
        ),
        event=event,
    )
    assert [(step.log, step.result) for step in done.steps] == [("\n", SUCCEEDED), ("", SUCCEEDED)]
    assert "hunter2" not in done.steps[0].env.values()


def test_a_secret_on_a_command_line_is_an_error(tmp_path: Path) -> None:
    event = Event(variables={"whom": "world"}, secrets={"KEY": "hunter2"})
    with pytest.raises(AssertionError, match=r"puts a secret where everybody sees it"):
        do(tmp_path, stage("a", "- script: echo $(KEY)\n"), event=event)


@pytest.mark.parametrize(
    ("script", "more", "results", "result"),
    [
        ("exit 3", "", [FAILED, SKIPPED, SUCCEEDED], FAILED),
        ("exit 3", "continueOnError: 'true'", [ISSUES, SUCCEEDED, SUCCEEDED], ISSUES),
        ("echo '##vso[task.complete result=SucceededWithIssues]'", "", [ISSUES, SUCCEEDED, SUCCEEDED], ISSUES),
        # What Azure was told makes no success of a failure.
        ("echo '##vso[task.complete result=SucceededWithIssues]'; exit 1", "", [FAILED, SKIPPED, SUCCEEDED], FAILED),
        ("true", "", [SUCCEEDED, SUCCEEDED, SUCCEEDED], SUCCEEDED),
    ],
)
def test_how_a_step_ends_decides_on_those_after_it(
    tmp_path: Path, script: str, more: str, results: list[str], result: str
) -> None:
    steps = f"""\
        - script: {json.dumps(script)}
          displayName: first
          {more}
        - script: "true"
        - script: "true"
          condition: succeededOrFailed()
    """
    done = do(tmp_path, stage("a", steps))
    assert [step.result for step in done.steps] == results
    assert done.result == result


def test_a_job_that_goes_on_fails_its_steps_and_is_an_issue_of_the_run(tmp_path: Path) -> None:
    steps = "- script: exit 3\n- script: 'true'\n"
    goes_on = stage("a", steps).replace("    pool", "    continueOnError: 'true'\n    pool")
    done = do(tmp_path, goes_on, stage("b", "- script: 'true'\n"))
    assert [step.result for step in done.steps] == [FAILED, SKIPPED, SUCCEEDED]
    assert done.nodes == {"a.a": ISSUES, "b.b": SUCCEEDED}
    assert done.result == ISSUES


def test_a_matrix_gives_a_node_for_each_leg_with_its_variables(tmp_path: Path) -> None:
    command = '##vso[task.setvariable variable=matrix;isOutput=true]{"x": {"n": "1", "image": "i"}, "y": {"n": "2"}}'
    nodes = stage(
        "b",
        """\
        - script: echo "$(System.JobName) $N"
        """,
    ).replace("    pool", "    strategy: {matrix: \"$[ stageDependencies.a.a.outputs['one.matrix'] ]\"}\n    pool")
    done = do(tmp_path, stage("a", f"- script: |\n    echo '{command}'\n  name: one\n"), nodes)
    assert done.nodes == {"a.a": SUCCEEDED, "b.x": SUCCEEDED, "b.y": SUCCEEDED}
    assert [step.log for step in done.steps[1:]] == ["x 1\n", "y 2\n"]


def test_stages_look_at_what_was_before_them(tmp_path: Path) -> None:
    done = do(
        tmp_path,
        stage("a", "- script: exit 1\n"),
        stage("b", "- script: 'true'\n"),
        stage("c", "- script: 'true'\n", "condition: in(dependencies.b.result, 'Skipped')\n"),
        stage("d", "- script: 'true'\n", "dependsOn: a\ncondition: eq(dependencies.a.outputs['a.x.y'], 'true')\n"),
    )
    assert done.stages == {"a": FAILED, "b": SKIPPED, "c": SUCCEEDED, "d": SKIPPED}
    assert done.result == FAILED


def test_artifacts_go_from_job_to_job_by_name_and_pattern(tmp_path: Path) -> None:
    done = do(
        tmp_path,
        stage(
            "a",
            """\
            - script: mkdir -p out/deep; echo 1 > out/deep/one; echo 2 > out/two
            - publish: out
              artifact: some-out
            - publish: file.txt
              artifact: other
            - publish: nothing
              artifact: nothing
              continueOnError: 'true'
        """,
        ),
        stage(
            "b",
            """\
            - task: DownloadPipelineArtifact@2
              inputs: {buildType: current, itemPattern: some-*/**, targetPath: $(Pipeline.Workspace)/taken}
            - script: cd "$(Pipeline.Workspace)/taken"; find * -type f | sort
        """,
        ),
        stage(
            "c",
            """\
            - download: current
              artifact: other
            - script: cat "$(Pipeline.Workspace)/other/file.txt"
            - download: current
              artifact: nothing
        """,
        ),
    )
    assert done.stages == {"a": ISSUES, "b": SUCCEEDED, "c": FAILED}
    assert [step.log for step in done.steps if step.title.startswith("script")] == [
        "",
        "some-out/deep/one\nsome-out/two\n",
        "from the repository\n",
    ]


def test_two_artifacts_of_one_name_are_a_failure(tmp_path: Path) -> None:
    steps = "- publish: file.txt\n  artifact: x\n- publish: file.txt\n  artifact: x\n"
    assert [step.result for step in do(tmp_path, stage("a", steps)).steps] == [SUCCEEDED, FAILED]


def test_a_summary_is_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    steps = '- script: echo "# Hello" > "$AGENT_TEMPDIRECTORY/s.md"; echo "##vso[task.uploadsummary]$AGENT_TEMPDIRECTORY/s.md"\n'
    assert do(tmp_path, stage("a", steps)).summaries == ["# Hello\n"]


def test_results_of_tests_are_read_where_there_are_any(tmp_path: Path) -> None:
    xml = "<a><testcase name='x'/><testcase name='y'><failure/></testcase></a>"
    steps = f"""\
        - script: echo "{xml}" > results.xml
        - task: PublishTestResults@2
          inputs: {{testResultsFiles: results.xml}}
        - task: PublishTestResults@2
          inputs: {{testResultsFiles: missing.xml}}
    """
    done = do(tmp_path, stage("a", steps))
    assert done.result == SUCCEEDED
    assert done.tests == {"x": "passed", "y": "failed"}


def test_an_attachment_is_told_of_while_its_step_runs(tmp_path: Path) -> None:
    seen = tmp_path / "seen"

    def attached(name: str, text: str) -> None:
        seen.write_text(f"{name}: {text}")

    event = Event(variables={"whom": "world"}, attached=attached)
    script = f"""\
        - script: |
            echo proof > ~/a
            echo "##vso[task.addattachment type=t;name=key;]$HOME/a"
            for i in $(seq 100); do test -e {seen} && break; sleep 0.1; done
            cat {seen}
    """
    assert do(tmp_path, stage("a", script), event=event).steps[0].log.endswith("key: proof\n")


def test_a_command_that_the_harness_does_not_know_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"task\.prependpath"):
        do(tmp_path, stage("a", "- script: |\n    echo '##vso[task.prependpath]/x'\n"))


def test_the_whole_is_as_its_worst_part() -> None:
    assert worst([SKIPPED, SUCCEEDED]) == SUCCEEDED
    assert worst([SUCCEEDED, ISSUES, SKIPPED]) == ISSUES
    assert worst([ISSUES, FAILED]) == FAILED
    assert worst([SKIPPED]) == SKIPPED
