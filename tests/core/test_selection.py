from __future__ import annotations

import json
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from tasks.core.actions import Action, Sdist
from tasks.core.errors import BadInput
from tasks.core.matrix import Instance
from tasks.core.plan import Plan
from tasks.core.selection import JobData, Wish, select
from tasks.core.targets import PythonTag
from tasks.core.wheels import ExpectedWheel


def action(name: str, instance: str, arch: str) -> Action:
    return Action(
        package=name,
        target=f"{instance}-{arch}",
        instance=instance,
        arch=arch,
        python=PythonTag.parse("cp312"),
        wheel=ExpectedWheel(
            name=canonicalize_name(name),
            version=Version("1.0"),
            build=(),
            interpreter="cp312",
            abi="cp312",
            platforms=(f"freebsd_15_1_release_{arch}",),
        ),
        sdist=Sdist(filename=f"{name}-1.0.tar.gz", url="https://x.test/x.tar.gz", sha256="0" * 64),
    )


SPAM = action("spam", "local", "x86_64")
EGGS = action("eggs", "freebsd/15.1", "x86_64")
HAM = action("ham", "freebsd/15.1", "aarch64")
TOAST = action("toast", "freebsd/15.1", "aarch64")
PLAN = Plan(
    matrix="0" * 64,
    instances={
        "local": Instance(name="local", worker="local"),
        "freebsd/15.1": Instance(name="freebsd/15.1", worker="core-ci"),
    },
    actions=(SPAM, EGGS, HAM, TOAST),
)


def names(wish: str | None = None, job_data: dict[str, Any] | None = None, plan: Plan = PLAN) -> list[str]:
    visits = select(
        plan,
        "plan.json",
        None if wish is None else Wish.parse(wish),
        None if job_data is None else JobData.parse(json.dumps(job_data)),
    )
    return [each.package for actions in visits.values() for each in actions]


@pytest.mark.parametrize(
    ("wish", "chosen"),
    [
        (None, ["spam"]),
        ("local", ["spam"]),
        ("freebsd/15.1", ["ham", "toast", "eggs"]),
        ("freebsd/15.1,arch=x86_64", ["eggs"]),
    ],
)
def test_an_instance_is_chosen_by_name_and_architecture(wish: str | None, chosen: list[str]) -> None:
    assert names(wish) == chosen


@pytest.mark.parametrize(
    ("wish", "found"),
    [("freebsd/15.1,aarch64", "'aarch64'"), ("x,arch=", "'arch='"), ("x,arch=a,arch=b", "'arch=b'"), ("x,", "''")],
)
def test_a_wish_in_another_form_is_an_error(wish: str, found: str) -> None:
    with pytest.raises(BadInput) as caught:
        Wish.parse(wish)
    assert str(caught.value) == f"instance {wish}: found {found}, expected NAME or NAME,arch=ARCH"


def test_an_architecture_that_the_plan_does_not_have_is_an_error() -> None:
    with pytest.raises(BadInput) as caught:
        names("local,arch=aarch64")
    assert str(caught.value) == (
        "plan.json: the plan has no actions for the instance local,arch=aarch64; it has "
        "freebsd/15.1,arch=aarch64, freebsd/15.1,arch=x86_64, local,arch=x86_64"
    )


def test_an_empty_plan_has_nothing_for_any_instance() -> None:
    assert names("freebsd/15.1", plan=Plan(matrix="0" * 64)) == []


def job_data(*keys: str, arch: str = "aarch64", **more: str) -> dict[str, Any]:
    return {"instance": "freebsd/15.1", "arch": arch, "packages": [{"action": key} for key in keys], **more}


def test_job_data_names_actions() -> None:
    assert names(None, job_data(TOAST.key)) == ["toast"]
    assert names("freebsd/15.1", job_data(TOAST.key, HAM.key)) == ["ham", "toast"]


def test_job_data_too_large_for_a_variable_names_the_plan_and_means_all() -> None:
    assert names(None, job_data(plan="build/plan.json", matrix="0" * 64)) == ["ham", "toast"]


def test_job_data_too_large_for_a_variable_is_of_one_matrix() -> None:
    with pytest.raises(BadInput, match=r"JOB_DATA is of f{64}; this is another plan than the one"):
        names(None, job_data(plan="build/plan.json", matrix="f" * 64))


def test_job_data_without_packages_means_none() -> None:
    assert names(None, job_data()) == []


def test_job_data_with_an_action_of_another_place_is_of_another_plan() -> None:
    with pytest.raises(BadInput) as caught:
        names(None, job_data(EGGS.key))
    assert str(caught.value) == (
        f"plan.json: JOB_DATA names the action {EGGS.key}, which the plan does not have for freebsd/15.1,arch=aarch64; "
        "this is another plan than the one that JOB_DATA comes from"
    )


def test_job_data_of_another_instance_is_of_another_plan() -> None:
    with pytest.raises(BadInput) as caught:
        names("local", job_data(HAM.key))
    assert str(caught.value) == (
        "plan.json: JOB_DATA is of freebsd/15.1,arch=aarch64, which the plan (or the command line) does not have: it has "
        "freebsd/15.1,arch=aarch64, freebsd/15.1,arch=x86_64, local,arch=x86_64; "
        "this is another plan than the one that JOB_DATA comes from"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "Expecting property name"),
        ("[]", "list indices must be integers"),
        ('{"packages": []}', "the key 'instance' is missing"),
        ('{"packages": [{}]}', "the key 'action' is missing"),
        ('{"packages": [1]}', "'int' object is not subscriptable"),
    ],
)
def test_job_data_that_cannot_be_read_is_an_error(text: str, found: str) -> None:
    with pytest.raises(BadInput) as caught:
        JobData.parse(text)
    said = "JOB_DATA: expected JSON with instance, arch and packages, each with the recipe key of its action; found: "
    assert str(caught.value).startswith(said + found)
