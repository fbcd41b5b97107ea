"""What ``azure-pipelines.yml`` says, and what the harness takes it for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from tasks import options
from tests.pipeline.azure_file import read
from tests.pipeline.expressions import Scope, holds, runtime
from tests.pipeline.results import FAILED, ISSUES, SKIPPED, SUCCEEDED

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = read(ROOT / "azure-pipelines.yml")


@pytest.mark.parametrize(
    ("reason", "ref"),
    [
        ("IndividualCI", "refs/heads/main"),
        ("IndividualCI", "refs/tags/v1.0"),
        ("PullRequest", "refs/heads/main"),
        ("Schedule", "refs/heads/main"),
    ],
)
def test_what_starts_a_run(reason: str, ref: str) -> None:
    assert PIPELINE.starts(reason, ref)


@pytest.mark.parametrize("reason", ["IndividualCI", "Schedule"])
def test_a_push_to_another_branch_starts_none(reason: str) -> None:
    assert not PIPELINE.starts(reason, "refs/heads/other")


def test_each_stage_comes_after_the_one_whose_work_it_takes_up() -> None:
    assert [(stage.name, stage.depends_on) for stage in PIPELINE.stages] == [
        ("plan", ()),
        ("build", ("plan",)),
        ("publish", ("build",)),
    ]


def test_a_step_installs_nox_or_calls_it_and_the_names_of_stages_are_those_of_sessions() -> None:
    scripts = [
        (stage.name, step.value)
        for stage in PIPELINE.stages
        for job in stage.jobs
        for step in job.steps
        if step.kind == "script"
    ]
    install = "python -m pip install --quiet 'nox[uv]'"
    assert [(stage, script.split(" -- ")[0]) for stage, script in scripts if script != install] == [
        ("plan", "nox -s plan"),
        ("build", "nox -s build"),
        ("build", "nox -s build"),
        ("publish", "nox -s publish"),
    ]
    assert len(scripts) == 7


def test_only_publishing_names_credentials() -> None:
    naming = [
        (stage.name, step.title)
        for stage in PIPELINE.stages
        for job in stage.jobs
        for step in job.steps
        if "AWS_SECRET" in str(asdict(step)) or "AWS_ACCESS" in str(asdict(step))
    ]
    assert naming == [("publish", "Publish")]


@pytest.mark.parametrize(
    ("plan", "outputs", "builds"),
    [
        (SUCCEEDED, {"plan.plan.matrix": "{…}", "plan.plan.matrix_has_jobs": "true"}, True),
        (ISSUES, {"plan.plan.matrix": "{…}", "plan.plan.matrix_has_jobs": "true"}, True),
        (SUCCEEDED, {"plan.plan.matrix": "{}"}, False),
        (FAILED, {"plan.plan.matrix": "{…}", "plan.plan.matrix_has_jobs": "true"}, False),
        (FAILED, {}, False),
    ],
)
def test_when_there_is_a_build(plan: str, outputs: dict[str, str], *, builds: bool) -> None:
    scope = Scope(
        values={"dependencies": {"plan": {"result": plan, "outputs": outputs}}},
        status={"succeeded": lambda _: plan in {SUCCEEDED, ISSUES}},
    )
    assert holds(PIPELINE.stages[1].condition, scope) == builds


@pytest.mark.parametrize(
    ("build", "reason", "ref", "canceled", "publishes"),
    [
        (SUCCEEDED, "IndividualCI", "refs/heads/main", False, True),
        (SUCCEEDED, "IndividualCI", "refs/tags/v1", False, True),
        (ISSUES, "Schedule", "refs/heads/main", False, True),
        (FAILED, "Manual", "refs/heads/main", False, True),
        ("Canceled", "Schedule", "refs/heads/main", False, True),  # a node that took too long
        (SKIPPED, "Schedule", "refs/heads/main", False, False),
        (SUCCEEDED, "Schedule", "refs/heads/main", True, False),
        (SUCCEEDED, "PullRequest", "refs/pull/7/merge", False, False),
        (FAILED, "PullRequest", "refs/heads/main", False, False),
        (SUCCEEDED, "Manual", "refs/pull/7/merge", False, False),
        (SUCCEEDED, "Manual", "refs/heads/other", False, False),
    ],
)
def test_when_there_is_something_to_publish(
    build: str, reason: str, ref: str, *, canceled: bool, publishes: bool
) -> None:
    variables = {"Build.Reason": reason, "Build.SourceBranch": ref}
    scope = Scope(
        values={"dependencies": {"build": {"result": build}}, "variables": variables},
        status={"canceled": lambda _: canceled},
    )
    assert holds(PIPELINE.stages[2].condition, scope) == publishes


@pytest.mark.parametrize(
    ("going", "index", "keeps"), [(True, "", True), (True, "s3://b/team", False), (False, "", False)]
)
def test_the_index_is_kept_where_the_pipeline_names_none(index: str, *, going: bool, keeps: bool) -> None:
    step = PIPELINE.stages[2].jobs[0].steps[-1]
    scope = Scope(values={"variables": {"SPARE_TIRE_INDEX": index}}, status={"succeeded": lambda _: going})
    assert (step.kind, step.value, step.goes_on) == ("publish", options.INDEX, True)
    assert holds(step.condition, scope) == keeps


def test_a_build_is_ended_before_its_job_so_that_what_was_built_is_kept() -> None:
    (job,) = PIPELINE.stages[1].jobs
    build, giving_back = (step for step in job.steps if "nox -s build" in step.value)
    assert 0 < build.minutes <= job.minutes - 30
    after = job.steps[job.steps.index(build) + 1 :]
    assert [step.condition for step in after] == ["succeededOrFailed()", "succeededOrFailed()", "always()"]
    assert (after[-1], giving_back.value) == (giving_back, "nox -s build -- --give-back")


@pytest.mark.parametrize(
    ("variables", "location"),
    [
        ({}, ""),
        ({"SPARE_TIRE_INDEX": "s3://b/team"}, "s3://b/team"),
        ({"SPARE_TIRE_INDEX": "s3://b/team", "SPARE_TIRE_READ_INDEX": "https://x.test"}, "https://x.test"),
    ],
)
def test_where_a_plan_reads_the_index(variables: dict[str, str], location: str) -> None:
    scope = Scope(values={"variables": variables}, status={})
    assert runtime(PIPELINE.variables["index_to_read"], scope) == location


@pytest.mark.parametrize(
    ("found", "replaced", "message"),
    [
        ("      name: plan", "      retryCountOnTaskFailure: 3\n      name: plan", "a step script has retryCount"),
        ("  dependsOn: plan\n", "  dependsOn: plan\n  lockBehavior: sequential\n", "a stage has lockBehavior"),
        ("    workspace:", "    uses: x\n    workspace:", "a job has uses"),
        ("- cron: '20 2 * * *'", "- cron: '2:20'", "'2:20' is no time in cron's form"),
        ("- download: current", "- checkout: self", "a step of an unknown kind: checkout"),
    ],
)
def test_what_the_harness_would_not_honour_is_an_error(tmp_path: Path, found: str, replaced: str, message: str) -> None:
    text = (ROOT / "azure-pipelines.yml").read_text(encoding="utf-8")
    assert found in text
    file = tmp_path / "azure-pipelines.yml"
    file.write_text(text.replace(found, replaced, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"^{message}"):
        read(file)
