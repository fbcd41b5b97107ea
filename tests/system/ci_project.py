"""A repository and a bucket, for runs of ``azure-pipelines.yml``: nothing else goes from one run to the next."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.builds import make_sdist
from tests.pipeline.azure_file import read
from tests.pipeline.results import Event
from tests.pipeline.run import run
from tests.stores.s3_servers import KEY_ID, SECRET
from tests.wheel_factory import make_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from tests.pipeline.results import Run
    from tests.stores.s3_servers import Server

ROOT = Path(__file__).resolve().parents[2]
TAG = f"cp3{sys.version_info.minor}"
ARCH = platform.machine()
MATRIX = f"""\
instances:
  agent: {{worker: local, agent: ubuntu-24.04}}
  REMOTE: INSTANCE
targets:
  here: {{instance: agent, arch: {ARCH}, platform_tag: linux_{ARCH}, python: [{TAG}], upstream: ignore}}
  there: {{instance: REMOTE, arch: x86_64, platform_tag: linux_x86_64, python: [cp311], upstream: ignore}}
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
    remote: str
    instance: Mapping[str, Any]
    """The name of an instance that is not the agent, and what the matrix says of it."""
    attached: Callable[[str, str], object] = lambda _name, _text: None
    """Is told of what a run attaches to itself."""
    runs: list[Run] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, server: Server, **said: Any) -> Self:  # noqa: ANN401 - the fields that are left
        """Make a repository of the files that git knows here, and an empty bucket that everybody may read."""
        made = cls(folder=folder, server=server, bucket=server.new_bucket(), **said)
        everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
        policy = {
            "Version": "2012-10-17",
            "Statement": [{**everybody, "Resource": f"arn:aws:s3:::{made.bucket}/team/*"}],
        }
        server.client.put_bucket_policy(Bucket=made.bucket, Policy=json.dumps(policy))
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
        make_wheel(made.repository / "vendor", "vendored")
        git(made.repository, "init", "--quiet")
        git(made.repository, "add", "--all")
        return made

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
        matrix = MATRIX.replace("REMOTE", self.remote).replace("INSTANCE", json.dumps(self.instance))
        matrix += self.sdist("far", target="there") + packages
        (self.repository / "wheel_matrix.yml").write_text(matrix, encoding="utf-8")
        git(self.repository, "commit", "--quiet", "--all", "--allow-empty", "--message=the matrix")
        pipeline = read(self.repository / "azure-pipelines.yml")
        assert pipeline.starts(reason, ref)
        variables = {
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": self.server.url,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "SPARE_TIRE_INDEX": f"s3://{self.bucket}/team",
            # A directory that is not there is an empty index; a website that is not there may be a wrong address.
            "SPARE_TIRE_READ_INDEX": f"{self.server.url}/{self.bucket}/team" if self.runs else "dist/index",
        }
        event = Event(reason=reason, ref=ref, variables=variables, secrets=SECRETS, attached=self.attached)
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


def of(step: str, env: Mapping[str, str]) -> list[str]:
    return [f"{step}: {name}" for name, value in env.items() if any(secret in value for secret in SECRETS.values())]


def exposed(done: Run) -> list[str]:
    """The steps that were given a secret, with the variables that it was in."""
    return [each for step in done.steps for each in of(f"{step.stage} {step.title}", step.env)]
