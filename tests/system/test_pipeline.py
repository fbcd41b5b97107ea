"""``azure-pipelines.yml`` run as Azure Pipelines would run it, publishing to a real S3 server."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builds import make_sdist
from tests.pipeline.azure_file import read
from tests.pipeline.run import FAILED, ISSUES, SKIPPED, SUCCEEDED, Event, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.pipeline.run import Run
    from tests.stores.s3_servers import Server

ROOT = Path(__file__).resolve().parents[2]
TAG = f"cp3{sys.version_info.minor}"
ARCH = platform.machine()
MATRIX = f"""\
instances:
  one: {{worker: local, agent: ubuntu-24.04}}
  other: {{worker: local, agent: ubuntu-24.04}}
targets:
  plain: {{instance: one, arch: {ARCH}, platform_tag: linux_{ARCH}, python: [{TAG}], upstream: ignore}}
  many: {{instance: other, arch: {ARCH}, platform_tag: manylinux_2_34_{ARCH}, python: [{TAG}], upstream: ignore}}
packages:
  MarkupSafe: {{versions: [3.0.3], targets: [plain]}}
  lazy-object-proxy: {{versions: [1.12.0], targets: [many]}}
"""
SECRETS = {"AWS_ACCESS_KEY_ID": "the-key-id", "AWS_SECRET_ACCESS_KEY": "the-secret-key"}
BROKEN = f"broken-1.0-{TAG}-{TAG}-linux_{ARCH}.whl"
MARKUPSAFE = f"markupsafe-3.0.3-{TAG}-{TAG}-linux_{ARCH}.whl"
PROXY = f"lazy_object_proxy-1.12.0-{TAG}-{TAG}-manylinux_2_34_{ARCH}.whl"


@dataclass(frozen=True, kw_only=True)
class Project:
    """The repository as a CI has it, and the bucket that runs share: nothing else goes from one to the next."""

    folder: Path
    server: Server
    bucket: str
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

    def sdist(self, name: str, *, before: str = "pass") -> str:
        """Make a project with one release, and return its lines of the matrix."""
        path = make_sdist(self.folder / "sdists", name, before=before)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        pinned = f"sdist: '{path.as_uri()}#sha256={digest}'"
        return f"  {name}: {{versions: ['1.0'], targets: [plain], {pinned}}}\n"

    def run(self, matrix: str, *, reason: str = "IndividualCI", ref: str = "refs/heads/main") -> Run:
        (self.repository / "wheel_matrix.yml").write_text(matrix, encoding="utf-8")
        git(self.repository, "commit", "--quiet", "--all", "--allow-empty", "--message=the matrix")
        pipeline = read(self.repository / "azure-pipelines.yml")
        assert pipeline.starts(reason, ref)
        variables = {
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": self.server.url,
            "AWS_REGION": "us-east-1",
            "SPARE_TIRE_INDEX": f"s3://{self.bucket}/team",
            "SPARE_TIRE_READ_INDEX": f"{self.server.url}/{self.bucket}/team",
        }
        event = Event(reason=reason, ref=ref, variables=variables, secrets=SECRETS)
        done = run(pipeline, event, self.repository, self.folder / f"run-{len(self.runs) + 1}")
        self.runs.append(done)
        return done


def git(folder: Path, *arguments: str) -> None:
    nobody = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.invalid", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *nobody, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, moto: Server) -> Project:
    made = Project(folder=tmp_path_factory.mktemp("pipeline"), server=moto, bucket=moto.new_bucket())
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
    return project.run(MATRIX)


def test_the_first_run_builds_and_publishes(project: Project, first: Run) -> None:
    assert first.stages == {"plan": SUCCEEDED, "build": SUCCEEDED, "publish": SUCCEEDED}, first.log
    assert project.wheels == [PROXY, MARKUPSAFE]
