"""``azure-pipelines.yml`` run as Azure Pipelines would run it, publishing to a real S3 server.

One node builds on a real host: the real ansible-test asks a local service for it that speaks core-ci's protocol, with
the credentials that it has on Azure Pipelines.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.core_ci import CoreCi
from tests.pipeline.results import FAILED, ISSUES, SKIPPED, SUCCEEDED
from tests.system.ci_project import HERE, SECRETS, THERE, Between, Project, exposed, here, there
from tests.system.hosts import make_host

BUILD_ID = "7"

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.pipeline.results import Run
    from tests.stores.s3_servers import Server
    from tests.system.hosts import Host


@pytest.fixture(scope="module")
def remote(hosts: None) -> Iterator[Host]:  # noqa: ARG001 - it comes first
    with make_host() as turned_on:
        yield turned_on


@pytest.fixture(scope="module")
def service(remote: Host) -> Iterator[CoreCi]:
    """What starts machines, and can look up in Azure's REST API what was attached to a build."""
    with CoreCi(hosts={"x86_64": remote}) as started:
        yield started


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, moto: Server, service: CoreCi) -> Project:
    def attached(name: str, text: str) -> None:
        service.attachments[BUILD_ID, name] = text

    instance = {"worker": "core-ci", "remote_provider": "aws", "remote_endpoint": service.endpoint}
    folder = tmp_path_factory.mktemp("pipeline")
    return Project.make(folder, moto, remote="debian/12", instance=instance, attached=attached)


@pytest.fixture(scope="module")
def first(project: Project) -> Run:
    return project.run("", reason="Schedule")


@pytest.fixture(scope="module")
def again(project: Project, first: Run) -> Between:
    """A second run of the same."""
    assert first.result == SUCCEEDED, first.log
    before = project.published
    return Between(before=before, run=project.run(""), after=project.published)


@pytest.fixture(scope="module")
def third(project: Project, again: Between) -> Run:
    """A run with one package that cannot be built, and one that can; and a node whose only sdist is another one."""
    assert again.run.result == SUCCEEDED, again.run.log
    packages = project.sdist("broken", before="raise SystemExit('no such luck')") + project.sdist("sound")
    forged = re.sub("(?<=sha256=)[0-9a-f]{64}", "0" * 64, project.sdist("forged", target="there"))
    return project.run(packages + forged)


@pytest.fixture(scope="module")
def pull_request(project: Project, third: Run) -> Between:
    """A run of a pull request, with something new."""
    assert third.stages["publish"] == SUCCEEDED, third.log
    before = project.published
    done = project.run(project.sdist("proposed"), reason="PullRequest")
    return Between(before=before, run=done, after=project.published)


@pytest.fixture(scope="module")
def tagged(project: Project, service: CoreCi, pull_request: Between) -> Run:
    """A run on a tag, with one package that cannot be planned, and something new for a machine that does not come."""
    assert pull_request.run.result == SUCCEEDED, pull_request.run.log
    service.refusals["PUT"] = (503, {"message": "all machines are taken"})
    packages = project.sdist("released") + project.sdist("lost", target="there")
    packages += "  six: {versions: ['99'], targets: [here]}\n"
    return project.run(packages, ref="refs/tags/v1")


def test_the_first_run_builds_on_two_nodes_and_publishes(project: Project, first: Run) -> None:
    assert first.stages == {"plan": SUCCEEDED, "build": SUCCEEDED, "publish": SUCCEEDED}, first.log
    assert first.nodes == {
        "plan.plan": SUCCEEDED,
        f"build.{HERE}": SUCCEEDED,
        f"build.{THERE}": SUCCEEDED,
        "publish.publish": SUCCEEDED,
    }
    wheels = {here("markupsafe", "3.0.3"), there("far")}
    assert wheels <= set(project.wheels)
    assert {f"team/records/{wheel}.json" for wheel in wheels} <= project.published.keys()


def test_the_run_itself_proves_to_core_ci_that_it_may_have_a_machine(service: CoreCi, first: Run) -> None:
    assert first.nodes[f"build.{THERE}"] == SUCCEEDED, first.log
    (asked,) = (each for each in service.asked("PUT") if each.status == 200)
    assert (asked.body["type"], asked.body["build_id"]) == ("azp:ssh", int(BUILD_ID))
    assert service.deleted == [asked.path.rpartition("/")[2]]
    assert service.deleted[0] not in first.log


def test_artifacts_are_named_by_node_and_attempt(first: Run) -> None:
    assert sorted(first.artifacts) == [f"dist-{HERE}-1", f"dist-{THERE}-1", "plan"]
    built = first.artifacts[f"dist-{HERE}-1"]
    kept = sorted(str(path.parent.relative_to(built) / path.suffix) for path in built.rglob("*") if path.is_file())
    assert kept == [".xml", "logs/.gz", "records/.json", "visits/.json", "wheels/.whl"]


def test_only_publishing_is_given_the_credentials(first: Run) -> None:
    assert exposed(first) == ["publish Publish: AWS_ACCESS_KEY_ID", "publish Publish: AWS_SECRET_ACCESS_KEY"]
    assert not any(secret in first.log for secret in SECRETS.values())


def test_a_node_gets_its_own_part_of_the_plan(first: Run) -> None:
    handed = {step.node: json.loads(step.env["JOB_DATA"]) for step in first.steps if step.title.startswith("Build on")}
    named = {node: [package["name"] for package in data["packages"]] for node, data in handed.items()}
    assert named == {HERE: ["MarkupSafe"], THERE: ["far"]}


def test_the_page_of_the_run_tells_what_each_stage_did(first: Run) -> None:
    titles = [summary.splitlines()[0] for summary in first.summaries]
    assert titles[:3] == [
        "### Plan: 2 wheels to build (1 on this machine), 0 wheels needed no build",
        "### 1 wheel",
        "### 1 wheel",
    ]
    assert titles[3].endswith("/team: 2 published")
    link = "https://dev.azure.com/team/wheels/_build/results?buildId=7&view=artifacts&type=publishedArtifacts"
    assert f"Wheels, records and logs are in the artifact [dist-{HERE}-1]({link})." in first.summaries[1]


def test_a_second_run_finds_everything_published_and_ends(again: Between) -> None:
    assert again.run.stages == {"plan": SUCCEEDED, "build": SKIPPED, "publish": SKIPPED}, again.run.log
    assert again.after == again.before
    assert [step.title for step in again.run.steps] == [
        "task UsePythonVersion@0",
        "Install nox",
        "Plan",
        "publish plan",
    ]


def test_a_package_that_cannot_be_built_costs_nothing_else(project: Project, third: Run) -> None:
    assert third.stages == {"plan": SUCCEEDED, "build": ISSUES, "publish": SUCCEEDED}, third.log
    assert third.result == ISSUES
    assert here("sound") in project.wheels
    assert here("broken") not in project.wheels


def test_a_node_that_fails_costs_the_others_nothing(project: Project, third: Run) -> None:
    builds = {step.node: step.result for step in third.steps if step.title.startswith("Build on")}
    assert builds == {HERE: ISSUES, THERE: FAILED}, third.log
    assert {node: third.nodes[f"build.{node}"] for node in builds} == {HERE: ISSUES, THERE: ISSUES}
    assert there("forged") not in project.wheels
    (report,) = (summary for summary in third.summaries if f"#### refused: {there('forged')}" in summary)
    assert report.startswith("### 0 wheels, 1 failed\n")
    assert "forged-1.0.tar.gz: its sha256 is " in report


def test_what_the_repository_has_of_wheels_is_not_published(project: Project, third: Run) -> None:
    assert (project.repository / "vendor/vendored-1.0-py3-none-any.whl").is_file()
    assert third.stages["publish"] == SUCCEEDED
    assert not any(wheel.startswith("vendored-") for wheel in project.wheels)


def test_each_wheel_is_a_test_of_the_run(third: Run) -> None:
    assert third.tests == {here("broken"): "failed", here("sound"): "passed", there("forged"): "failed"}


def test_the_failure_is_on_the_page_of_the_run_with_its_log(third: Run) -> None:
    (report,) = (summary for summary in third.summaries if summary.startswith("### 1 wheel, 1 failed"))
    assert f"#### failed: {here('broken')}" in report
    assert "no such luck" in report.split("```text\n")[1].split("```")[0]
    name = f"dist-{HERE}-1"
    (log,) = (line for line in report.splitlines() if line.startswith("The whole log is"))
    path = log.split("`")[1]
    assert log.split(" in the artifact ")[1].startswith(f"[{name}](")
    assert (third.artifacts[name] / path).is_file()


def test_a_pull_request_builds_publishes_nothing_and_sees_no_credential(pull_request: Between) -> None:
    done = pull_request.run
    assert done.stages == {"plan": SUCCEEDED, "build": SUCCEEDED, "publish": SKIPPED}, done.log
    wheels = done.artifacts[f"dist-{HERE}-1"] / "wheels"
    assert [path.name for path in wheels.iterdir()] == [here("proposed")]
    assert exposed(done) == []
    assert pull_request.after == pull_request.before


def test_a_partial_plan_is_built_and_published_also_for_a_tag(project: Project, tagged: Run) -> None:
    assert tagged.stages["plan"] == ISSUES, tagged.log
    assert "- six 99: " in tagged.summaries[0]
    assert here("released") in project.wheels


def test_a_machine_that_does_not_come_costs_nothing_else(project: Project, tagged: Run) -> None:
    assert tagged.stages == {"plan": ISSUES, "build": ISSUES, "publish": SUCCEEDED}, tagged.log
    assert {node: result for node, result in tagged.nodes.items() if node.startswith("build.")} == {
        f"build.{HERE}": SUCCEEDED,
        f"build.{THERE}": ISSUES,
    }
    assert tagged.result == ISSUES
    assert list(tagged.artifacts[f"dist-{THERE}-1"].rglob("*.whl")) == []
    (report,) = (summary for summary in tagged.summaries if summary.startswith("### Build was stopped"))
    assert "- debian/12,arch=x86_64: ansible-test gets no machine from core-ci: 503: all machines are taken" in report
    assert there("lost") not in project.wheels


def test_a_matrix_that_cannot_be_read_fails_the_run(project: Project, tagged: Run) -> None:
    assert tagged.result == ISSUES, tagged.log
    done = project.run("  x: {versoins: [latest]}\n")
    assert done.stages == {"plan": FAILED, "build": SKIPPED, "publish": SKIPPED}, done.log
    assert done.result == FAILED
