"""``azure-pipelines.yml`` run as Azure Pipelines would run it, publishing to a real S3 server."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import noxfile
from tests.builds import make_sdist
from tests.pipeline.azure_file import read
from tests.pipeline.results import FAILED, ISSUES, SKIPPED, SUCCEEDED, Event
from tests.pipeline.run import run
from tests.stores.s3_servers import KEY_ID, SECRET
from tests.system.hosts import lacking, make_host

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.pipeline.results import Run
    from tests.stores.s3_servers import Server
    from tests.system.hosts import Host

ROOT = Path(__file__).resolve().parents[2]
TAG = f"cp3{sys.version_info.minor}"
ARCH = platform.machine()
MATRIX = f"""\
instances:
  agent: {{worker: local, agent: ubuntu-24.04}}
  remote: REMOTE
targets:
  here: {{instance: agent, arch: {ARCH}, platform_tag: linux_{ARCH}, python: [{TAG}], upstream: ignore}}
  there: {{instance: remote, arch: x86_64, platform_tag: linux_x86_64, python: [cp311], upstream: ignore}}
packages:
  MarkupSafe: {{versions: [3.0.3], targets: [here]}}
"""
SECRETS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
HERE, THERE = f"wheel_linux_{ARCH}", "wheel_linux_x86_64_2" if ARCH == "x86_64" else "wheel_linux_x86_64"
"""The nodes of the build stage."""


def here(name: str, version: str = "1.0") -> str:
    """The wheel that the agent builds of a release."""
    return f"{name}-{version}-{TAG}-{TAG}-linux_{ARCH}.whl"


def there(name: str) -> str:
    """The wheel that the remote host builds of a release."""
    return f"{name}-1.0-cp311-cp311-linux_x86_64.whl"


@dataclass(frozen=True, kw_only=True)
class Project:
    """The repository as a CI has it, and the bucket that runs share: nothing else goes from one to the next."""

    folder: Path
    server: Server
    bucket: str
    host: Host
    runs: list[Run] = field(default_factory=list)

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    @property
    def published(self) -> dict[str, str]:
        """The bucket's objects and the tokens of their contents."""
        listed = self.server.client.list_objects_v2(Bucket=self.bucket)
        return {each["Key"]: each["ETag"] for each in listed.get("Contents", [])}

    @property
    def wheels(self) -> list[str]:
        return [Path(name).name for name in sorted(self.published) if name.endswith(".whl")]

    def sdist(self, name: str, *, target: str = "here", before: str = "pass") -> str:
        """Make a project with one release, and return its lines of the matrix."""
        path = make_sdist(self.folder / "sdists", name, before=before)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        pinned = f"sdist: '{path.as_uri()}#sha256={digest}'"
        return f"  {name}: {{versions: ['1.0'], targets: [{target}], {pinned}}}\n"

    def run(self, packages: str, *, reason: str = "IndividualCI", ref: str = "refs/heads/main") -> Run:
        remote = json.dumps(self.host.instance("remote").to_dict())
        matrix = MATRIX.replace("REMOTE", remote) + self.sdist("far", target="there") + packages
        (self.repository / "wheel_matrix.yml").write_text(matrix, encoding="utf-8")
        git(self.repository, "commit", "--quiet", "--all", "--allow-empty", "--message=the matrix")
        pipeline = read(self.repository / "azure-pipelines.yml")
        assert pipeline.starts(reason, ref)
        variables = {
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": self.server.url,
            "AWS_REGION": "us-east-1",
            "SPARE_TIRE_INDEX": f"s3://{self.bucket}/team",
            # A directory that is not there is an empty index; a website that is not there may be a wrong address.
            "SPARE_TIRE_READ_INDEX": f"{self.server.url}/{self.bucket}/team" if self.runs else "dist/index",
        }
        event = Event(reason=reason, ref=ref, variables=variables, secrets=SECRETS)
        done = run(pipeline, event, self.repository, self.folder / f"run-{len(self.runs) + 1}")
        self.runs.append(done)
        return done


@dataclass(frozen=True, kw_only=True)
class Between:
    """A run, and what was published before and after it."""

    before: Mapping[str, str]
    run: Run
    after: Mapping[str, str]


def git(folder: Path, *arguments: str) -> None:
    nobody = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.invalid", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *nobody, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    if reason := lacking(noxfile.PROGRAMS):
        assert os.environ.get("CI") != "true", reason
        pytest.skip(reason)
    with make_host() as made:
        yield made


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, moto: Server, host: Host) -> Project:
    made = Project(folder=tmp_path_factory.mktemp("pipeline"), server=moto, bucket=moto.new_bucket(), host=host)
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
    policy = {"Version": "2012-10-17", "Statement": [{**everybody, "Resource": f"arn:aws:s3:::{made.bucket}/team/*"}]}
    moto.client.put_bucket_policy(Bucket=made.bucket, Policy=json.dumps(policy))
    made.repository.mkdir()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            target = made.repository / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
            target.chmod((ROOT / name).stat().st_mode)
    git(made.repository, "init", "--quiet")
    git(made.repository, "add", "--all")
    return made


def of(step: str, env: Mapping[str, str]) -> list[str]:
    return [f"{step}: {name}" for name, value in env.items() if any(secret in value for secret in SECRETS.values())]


def exposed(done: Run) -> list[str]:
    """The steps that were given a secret, with the variables that it was in."""
    return [each for step in done.steps for each in of(f"{step.stage} {step.title}", step.env)]


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
    """A run with one package that cannot be built, and one that can."""
    assert again.run.result == SUCCEEDED, again.run.log
    packages = project.sdist("broken", before="raise SystemExit('no such luck')") + project.sdist("sound")
    return project.run(packages)


@pytest.fixture(scope="module")
def pull_request(project: Project, third: Run) -> Between:
    """A run of a pull request, with something new."""
    assert third.stages["publish"] == SUCCEEDED, third.log
    before = project.published
    done = project.run(project.sdist("proposed"), reason="PullRequest")
    return Between(before=before, run=done, after=project.published)


@pytest.fixture(scope="module")
def tagged(project: Project, pull_request: Between) -> Run:
    """A run on a tag, with one package that cannot be planned, and something new for a machine that is gone."""
    assert pull_request.run.result == SUCCEEDED, pull_request.run.log
    project.host.turn_off()
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


def test_artifacts_are_named_by_node_and_attempt(first: Run) -> None:
    assert sorted(first.artifacts) == [f"dist-{HERE}-1", f"dist-{THERE}-1", "plan"]
    built = first.artifacts[f"dist-{HERE}-1"]
    assert sorted(path.parent.name for path in built.rglob("*") if path.is_file()) == [
        "logs",
        "records",
        "visits",
        "wheels",
    ]


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
    link = "https://azure.test/wheels/_build/results?buildId=7&view=artifacts&type=publishedArtifacts"
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


def test_a_machine_that_is_lost_costs_nothing_else(project: Project, tagged: Run) -> None:
    assert tagged.stages == {"plan": ISSUES, "build": ISSUES, "publish": SUCCEEDED}, tagged.log
    assert {node: result for node, result in tagged.nodes.items() if node.startswith("build.")} == {
        f"build.{HERE}": SUCCEEDED,
        f"build.{THERE}": ISSUES,
    }
    assert tagged.result == ISSUES
    assert [path.name for path in tagged.artifacts[f"dist-{THERE}-1"].rglob("*") if path.is_file()] == []
    (report,) = (summary for summary in tagged.summaries if summary.startswith("### Build was stopped"))
    assert "- remote,arch=x86_64: " in report
    assert there("lost") not in project.wheels


def test_a_matrix_that_cannot_be_read_fails_the_run(project: Project, tagged: Run) -> None:
    assert tagged.result == ISSUES, tagged.log
    done = project.run("  x: {versoins: [latest]}\n")
    assert done.stages == {"plan": FAILED, "build": SKIPPED, "publish": SKIPPED}, done.log
    assert done.result == FAILED
