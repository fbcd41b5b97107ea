"""The nodes of a CI's build stage: one for each (instance, architecture) that has something to build."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tasks.core.matrix import LOCAL

if TYPE_CHECKING:
    from tasks.core.actions import Action
    from tasks.core.plan import Plan

JOB_DATA_LIMIT = 128 * 1024
"""Bytes that one environment variable may have on Linux (``MAX_ARG_STRLEN``), its name among them."""
OUTPUTS_LIMIT = 400_000
"""Characters that all nodes together may have as JSON: GitHub takes a MiB of a job's outputs, counted as UTF-16."""
_RESERVE = len("JOB_DATA=") + 1


def nodes(plan: Plan, plan_file: str) -> dict[str, dict[str, str]]:
    """Return the nodes by name, as existing pipelines read them: values are text, ``job_data`` is JSON in a string.

    The planning machine is not the building one, so a ``local`` instance gives a node only where it names an agent.
    Where ``job_data`` would be too long for a variable, or for a CI's outputs, it names the plan's file instead.
    """
    made = _nodes(plan, plan_file, JOB_DATA_LIMIT)
    return made if len(json.dumps(made)) <= OUTPUTS_LIMIT else _nodes(plan, plan_file, 0)


def _nodes(plan: Plan, plan_file: str, limit: int) -> dict[str, dict[str, str]]:
    made: dict[str, dict[str, str]] = {}
    for (name, arch), actions in plan.visits().items():
        instance = plan.instance(name, arch)
        if instance.worker == LOCAL and instance.agent is None:
            continue
        versions = sorted({action.python.version for action in actions})
        lowest, *others = (f"{major}.{minor}" for major, minor in versions)
        node = {
            "instance": name,
            "arch": arch,
            "python": lowest,
            "pythons": " ".join(others),
            "job_data": _job_data(name, arch, actions, plan, plan_file, limit),
        }
        if instance.agent is not None:
            node["agent"] = instance.agent
        made[_free_name(f"wheel_{actions[0].wheel.platforms[0]}", made)] = node
    return dict(sorted(made.items()))


def _free_name(wished: str, taken: dict[str, dict[str, str]]) -> str:
    number, name = 2, wished
    while name in taken:
        name, number = f"{wished}_{number}", number + 1
    return name


def _job_data(instance: str, arch: str, actions: tuple[Action, ...], plan: Plan, plan_file: str, limit: int) -> str:
    data: dict[str, Any] = {"instance": instance, "arch": arch, "packages": [_package(action) for action in actions]}
    text = json.dumps(data, sort_keys=True)
    if len(text.encode()) + _RESERVE > limit:
        text = json.dumps({**data, "packages": [], "plan": plan_file, "matrix": plan.matrix}, sort_keys=True)
    return text


def _package(action: Action) -> dict[str, str]:
    version = str(action.version)
    return {
        "action": action.key,
        "name": action.package,
        "version": version,
        "python": f"python{action.python.dotted}",
        "python_version": action.python.dotted,
        "python_tag": action.python.interpreter,
        "abi": action.python.abi if action.python.abi != action.python.interpreter else "",
        "sdist_dir": f"{action.package}-{version}",
        "sdist_dir_normalized": f"{action.wheel.name}-{version}",
        "sdist_dir_underscore": f"{action.wheel.name.replace('-', '_')}-{version}",
        "sdist_url": action.sdist.url,
        "expected_output_filename": action.wheel.filename,
        "constraints": "\n".join(action.rules.constraints or ()),
    }
