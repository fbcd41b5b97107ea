"""Every example of docs/placement.md, and of each rule one on either side."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.core.matrix import Instance
from tasks.core.placement import NoExecutor, executors, lacks, needs, place, properties_of, shown
from tasks.core.targets import Machine, PythonTag, Target

CP312 = PythonTag.parse("cp312")
HERE = Machine(
    arch="x86_64",
    platform="linux_x86_64",
    accepts=("manylinux_2_36_x86_64", "manylinux_2_35_x86_64", "linux_x86_64"),
    pythons=(PythonTag.parse("cp311"), CP312),
)


def target(*platforms: str, arch: str = "aarch64", instance: str | None = None, **needed: str) -> Target:
    return Target(name="t", instance=instance, arch=arch, platforms=platforms, pythons=(CP312,), exec_properties=needed)


def instance(name: str, worker: str = "ssh", **properties: str | tuple[str, ...]) -> Instance:
    said = {key: (text,) if isinstance(text, str) else text for key, text in properties.items()}
    return Instance(name=name, worker=worker, host="h" if worker == "ssh" else None, properties=said or None)


def placed(wanted: Target, *declared: Instance, native: bool = True) -> str:
    """Return where it goes, or why nowhere."""
    try:
        found = place(
            "MarkupSafe 3.0.3 for t",
            wanted,
            needs(wanted, CP312, native=native),
            {each.name: each for each in declared},
            HERE,
        )
    except NoExecutor as error:
        return str(error)
    return " ".join(found)


LOCAL = instance("local", "local")
ARM = instance("arm", os="linux", arch="aarch64", libc="glibc", libc_version="2.36", python=("cp311", "cp312"))


@pytest.mark.parametrize(
    ("platforms", "arch", "shows"),
    [
        (("manylinux_2_39_aarch64",), "aarch64", "os=linux arch=aarch64 libc=glibc<=2.39 python=cp312"),
        (("manylinux2014_x86_64",), "x86_64", "os=linux arch=x86_64 libc=glibc<=2.17 python=cp312"),
        (
            ("manylinux2014_x86_64", "manylinux_2_5_x86_64", "manylinux_2_17_x86_64"),
            "x86_64",
            "os=linux arch=x86_64 libc=glibc<=2.5 python=cp312",
        ),
        (("musllinux_1_2_x86_64",), "x86_64", "os=linux arch=x86_64 libc=musl<=1.2 python=cp312"),
        (("linux_x86_64",), "x86_64", "os=linux arch=x86_64 python=cp312"),
        (("freebsd_15_1_release_amd64",), "amd64", "os=freebsd os_version=15.1 arch=x86_64 python=cp312"),
        (("macosx_11_0_arm64",), "arm64", "os=macos arch=aarch64 python=cp312"),
        (("win_amd64",), "amd64", "os=windows arch=x86_64 python=cp312"),
        (("haiku_1_x86_64",), "x86_64", "arch=x86_64 python=cp312"),
    ],
)
def test_what_a_target_needs_follows_from_its_platform_tag(platforms: tuple[str, ...], arch: str, shows: str) -> None:
    assert shown(needs(target(*platforms, arch=arch), CP312)) == shows


def test_a_target_may_need_more_or_other_things() -> None:
    wanted = target("manylinux_2_39_aarch64", libc_version="2.34", pool="big", ISA="arm-v9")

    assert shown(needs(wanted, CP312)) == "os=linux arch=aarch64 libc=glibc<=2.34 python=cp312 ISA=arm-v9 pool=big"


def test_a_pure_wheel_needs_the_interpreter_alone_and_what_is_added() -> None:
    assert shown(needs(target("manylinux_2_39_aarch64", pool="big"), CP312, native=False)) == "python=cp312 pool=big"


def test_this_machine_has_its_own_properties() -> None:
    assert properties_of(HERE) == {
        "os": ("linux",),
        "libc": ("glibc",),
        "libc_version": ("2.36",),
        "arch": ("x86_64",),
        "python": ("cp311", "cp312"),
    }


def test_what_an_instance_is_besides_what_it_says() -> None:
    of_one = instance("freebsd/15.1,arch=arm64", "core-ci", os="freebsd")
    with_paths = Instance(name="box", worker="ssh", host="h", python={"cp314": "/opt/python3.14"})
    found = executors({each.name: each for each in (LOCAL, of_one, with_paths)}, HERE)

    assert [(each.name, each.instance, each.properties.get("arch")) for each in found] == [
        ("local", "local", ("x86_64",)),
        ("freebsd/15.1,arch=arm64", "freebsd/15.1", ("aarch64",)),
        ("box", "box", None),
    ]
    assert found[2].properties == {"python": ("cp314",)}


def test_nothing_is_known_of_a_machine_that_nobody_has_looked_at() -> None:
    assert executors({"local": LOCAL}, None)[0].properties == {}


@pytest.mark.parametrize(
    ("has", "wrong"),
    [
        ({"arch": ("aarch64",), "libc_version": ("2.39",)}, []),
        ({"arch": ("arm64", "x86_64"), "libc_version": ("2.5",)}, []),
        ({"arch": ("x86_64",), "libc_version": ("2.40",)}, ["arch is x86_64", "libc_version is 2.40"]),
        ({"arch": ("x86_64", "i686")}, ["arch is x86_64, i686", "it has no libc_version"]),
        ({}, ["it has no arch", "it has no libc_version"]),
    ],
)
def test_one_of_several_texts_is_enough_and_an_older_libc_is_as_good(
    has: dict[str, tuple[str, ...]], wrong: list[str]
) -> None:
    assert [*lacks({"arch": "aarch64", "libc_version": "2.39"}, has)] == wrong


def test_the_first_that_matches_is_taken_not_the_first() -> None:
    wanted = target("manylinux_2_39_aarch64")
    other = instance("other", os="linux", arch="aarch64", libc="glibc", libc_version="2.39", python="cp312")

    assert placed(wanted, LOCAL, ARM, other) == "arm aarch64"
    assert placed(wanted, LOCAL, other, ARM) == "other aarch64"


def test_this_machine_is_one_of_them() -> None:
    assert placed(target("manylinux_2_39_x86_64", arch="x86_64"), ARM, LOCAL) == "local x86_64"


def test_without_a_match_it_is_a_refusal_that_says_what_is_lacking() -> None:
    assert placed(target("manylinux_2_39_aarch64"), LOCAL) == (
        "MarkupSafe 3.0.3 for t: building this sdist would cross-compile its native extensions.\n"
        "  needs  os=linux arch=aarch64 libc=glibc<=2.39 python=cp312\n"
        "  nearest  local: arch is x86_64\n"
        "Add an instance with these properties, or rely on a prebuilt wheel (upstream has none)."
    )


@pytest.mark.parametrize(
    ("declared", "near"),
    [
        (instance("arm", os="linux", arch="aarch64", libc="musl", python="cp312"), "libc is musl; it has no libc_version"),
        (instance("arm", os="linux", arch="aarch64", libc="glibc", libc_version="2.40", python="cp312"), "libc_version is 2.40"),
        (instance("arm", os="linux", arch="aarch64", libc="glibc", libc_version="2.36", python="cp311"), "python is cp311"),
    ],
)  # fmt: skip
def test_the_nearest_lacks_least(declared: Instance, near: str) -> None:
    far = instance("far", os="freebsd")

    assert f"  nearest  arm: {near}\n" in placed(target("manylinux_2_39_aarch64"), far, declared)


def test_an_instance_for_one_processor_goes_before_the_one_for_all() -> None:
    every = instance("box", os="linux", arch=("x86_64", "aarch64"), python="cp312")
    special = instance("box,arch=aarch64", os="linux", python="cp311")

    assert "nearest  box,arch=aarch64: python is cp311" in placed(target("linux_aarch64"), every, special)
    assert placed(target("linux_x86_64", arch="x86_64"), every, special) == "box x86_64"


def test_what_an_instance_says_of_itself_goes_before_what_is_known() -> None:
    older = instance("local", "local", libc_version="2.17")

    assert placed(target("manylinux_2_28_x86_64", arch="x86_64"), LOCAL).startswith("MarkupSafe 3.0.3 for t: ")
    assert placed(target("manylinux_2_28_x86_64", arch="x86_64"), older) == "local x86_64"


def test_an_instance_for_one_processor_is_named_without_it() -> None:
    special = instance("box,arch=aarch64", os="linux", python="cp312")

    assert placed(target("linux_aarch64"), special) == "box aarch64"


def test_a_target_is_bound_to_the_instance_of_its_processor() -> None:
    every, special = instance("box", arch="x86_64"), instance("box,arch=aarch64", pool="big")

    assert placed(target("linux_aarch64", instance="box"), every, special) == "box aarch64"


def test_a_pure_wheel_goes_to_whatever_has_the_interpreter() -> None:
    assert placed(target("freebsd_15_1_release_arm64"), ARM, native=False) == "arm aarch64"
    assert placed(target("freebsd_15_1_release_arm64"), LOCAL, native=False) == "local x86_64"


@pytest.mark.parametrize(
    ("declared", "found"),
    [
        (instance("arm"), "arm aarch64"),
        (instance("arm", pool="big"), "arm aarch64"),
        (instance("arm", arch="arm64", python=("cp312",)), "arm aarch64"),
        (None, "arm aarch64"),
    ],
)
def test_a_target_is_bound_to_the_instance_that_it_names(declared: Instance | None, found: str) -> None:
    wanted = target("manylinux_2_39_aarch64", instance="arm")

    assert placed(wanted, LOCAL, *([declared] if declared else [])) == found


def test_what_this_machine_turns_out_to_be_unbinds_no_target() -> None:
    """An agent of a CI may stand in for it."""
    assert placed(target("linux_aarch64", instance="local"), LOCAL) == "local aarch64"


def test_an_instance_that_says_it_is_something_else_is_refused() -> None:
    assert placed(target("linux_aarch64", instance="box"), instance("box", arch="x86_64", os="linux")) == (
        "MarkupSafe 3.0.3 for t: building this sdist would cross-compile its native extensions.\n"
        "  needs  os=linux arch=aarch64 python=cp312\n"
        "  bound to  box: arch is x86_64\n"
        "Name another instance, or rely on a prebuilt wheel (upstream has none)."
    )


def test_a_plan_goes_where_the_needs_are_met() -> None:
    kept: dict[str, Any] = ARM.to_dict()

    assert Instance.from_dict("arm", kept) == ARM
