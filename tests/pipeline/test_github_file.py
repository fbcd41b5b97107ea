"""What ``.github/workflows/wheels.yml`` says: the same as ``azure-pipelines.yml``, in GitHub's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.pipeline.azure_file import read

ROOT = Path(__file__).resolve().parents[2]
AZURE = read(ROOT / "azure-pipelines.yml")
WORKFLOW: dict[Any, Any] = yaml.safe_load((ROOT / ".github/workflows/wheels.yml").read_text(encoding="utf-8"))
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]


def scripts(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def condition(text: str) -> str:
    return " ".join(text.removeprefix("${{").removesuffix("}}").split())


def test_the_same_starts_a_run() -> None:
    on = WORKFLOW[True]  # `on` is a boolean of YAML 1.1
    assert on["push"] == {"branches": ["main"], "tags": ["**"]}
    assert "pull_request" in on
    assert "pull_request_target" not in on
    assert [each["cron"] for each in on["schedule"]] == [each["cron"] for each in AZURE.triggers["schedules"]]


def test_each_job_installs_nox_and_calls_its_session() -> None:
    install = "python -m pip install --quiet 'nox[uv]'"
    assert {job: [script.split(" -- ")[0] for script in scripts(job)] for job in JOBS} == {
        "plan": [install, "nox -s plan"],
        "build": [install, "nox -s build", "nox -s build"],
        "publish": [install, "nox -s publish"],
    }
    assert JOBS["build"]["needs"] == "plan"
    assert JOBS["publish"]["needs"] == "build"


def test_only_publishing_may_become_who_may_write() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert {job: said["permissions"] for job, said in JOBS.items() if "permissions" in said} == {
        "publish": {"contents": "read", "id-token": "write"}
    }
    naming = {job for job, said in JOBS.items() if "SPARE_TIRE_ROLE" in str(said) or "secrets." in str(said)}
    assert naming == {"publish"}


def test_there_is_a_build_where_the_plan_has_nodes_also_of_a_partial_plan() -> None:
    assert condition(JOBS["build"]["if"]) == "!cancelled() && needs.plan.outputs.matrix_has_jobs == 'true'"
    assert JOBS["build"]["strategy"] == {
        "fail-fast": False,
        "matrix": "${{ fromJSON(needs.plan.outputs.matrix) }}",
    }


def test_what_was_built_is_published_but_never_for_a_pull_request_or_another_branch() -> None:
    assert condition(JOBS["publish"]["if"]) == (
        "!cancelled() && github.event_name != 'pull_request' "
        "&& (github.ref == 'refs/heads/main' || startsWith(github.ref, 'refs/tags/')) "
        """&& contains(fromJSON('["success", "failure", "cancelled"]'), needs.build.result)"""
    )


def test_artifacts_are_named_by_node_and_attempt_and_kept_of_failures_too() -> None:
    build = JOBS["build"]
    assert build["env"] == {"SPARE_TIRE_ARTIFACT": "dist-${{ matrix.name }}-${{ github.run_attempt }}"}
    (kept,) = (step for step in build["steps"] if "upload-artifact" in step.get("uses", ""))
    assert kept["with"] == {"name": "${{ env.SPARE_TIRE_ARTIFACT }}", "path": "dist"}
    assert condition(kept["if"]) == "!cancelled()"
    (taken,) = (step for step in JOBS["publish"]["steps"] if "download-artifact" in step.get("uses", ""))
    assert taken["with"] == {"pattern": "dist-*", "path": "built"}
    assert scripts("publish")[-1] == "nox -s publish -- built"


def test_a_build_is_ended_before_its_job_and_gives_machines_back() -> None:
    (azure,) = AZURE.stages[1].jobs
    (there,) = (step for step in azure.steps if "--junit" in step.value)
    build, last = (step for step in JOBS["build"]["steps"] if "nox -s build" in step.get("run", ""))
    assert (build["timeout-minutes"], JOBS["build"]["timeout-minutes"]) == (there.minutes, azure.minutes)
    assert (last["run"], condition(last["if"])) == ("nox -s build -- --give-back", "always()")
    assert last == JOBS["build"]["steps"][-1]
