"""The two forms of the matrix as they stand in the file, and how they become one :class:`~tasks.core.matrix.Matrix`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from tasks.core.matrix import (
    CORE_CI,
    LOCAL,
    SSH,
    Check,
    ConditionalRules,
    Entry,
    Instance,
    Matrix,
    Package,
    PinnedSdist,
    declared,
    matches,
)
from tasks.core.settings import Settings, Status
from tasks.core.shapes import At, Unreadable
from tasks.core.targets import LocalTarget, PythonTag, Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.core.document import Place
    from tasks.core.golden import Golden
    from tasks.core.monorepo import Components

USE = "use"
IGNORE = "ignore"
KEYS_OF = {
    SSH: ("host", "port", "user", "identity_file", "host_key", "jump", "python"),
    CORE_CI: ("python", "remote_endpoint", "remote_stage", "remote_provider", "remote_timeout"),
}
"""Keys of an instance by the kind of worker that they are for: how to get hold of a host, and what is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawInstance:
    """``instances.NAME``."""

    worker: str
    properties: Mapping[str, tuple[str, ...]] | None = None
    agent: str | None = None
    host: str | None = None
    port: int | None = None
    user: str | None = None
    identity_file: str | None = None
    host_key: tuple[str, ...] | None = None
    jump: str | None = None
    python: Mapping[str, str] | None = None
    remote_endpoint: str | None = None
    remote_stage: str | None = None
    remote_provider: str | None = None
    remote_timeout: int | None = None

    def __post_init__(self) -> None:
        if self.worker == SSH and self.host is None:
            raise ValueError("the key 'host' is missing: an ssh worker is a host")
        for key in sorted({key for keys in KEYS_OF.values() for key in keys} - {*KEYS_OF.get(self.worker, ())}):
            if getattr(self, key) is not None:
                kinds = " and ".join(kind for kind in sorted(KEYS_OF) if key in KEYS_OF[kind])
                raise ValueError(
                    f"the key '{key}' has no effect: it is for {kinds} workers, and this is a {self.worker} one"
                )

    def named(self, name: str) -> Instance:
        """Return the instance of that name."""
        return Instance(name=name, **{key: getattr(self, key) for key in RawInstance.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class RawTarget:
    """``targets.NAME``; without a platform tag it is the machine of its local instance."""

    instance: str | None = None
    arch: str | None = None
    platform_tag: tuple[str, ...] | None = None
    python: tuple[PythonTag, ...] | None = None
    upstream: str = USE
    build: tuple[ConditionalRules, ...] = ()
    exec_properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatWheel:
    """An item of ``packages.NAME.versions.VERSION.wheels``: the flat form names its platform in place."""

    platform_tag: tuple[str, ...]
    platform_arch: str
    python: tuple[PythonTag, ...]
    platform_instance: str | None = None
    target: str | None = None
    exec_properties: Mapping[str, str] = field(default_factory=dict)
    upstream: str = IGNORE
    build: tuple[ConditionalRules, ...] = ()
    check: Check = Check()
    sdist: PinnedSdist | None = None

    @property
    def name(self) -> str:
        """The target's name: the one given, else the platform tag."""
        return self.target or self.platform_tag[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """An item of a list of versions: one of them, or several for some of the package's targets."""

    versions: tuple[str, ...]
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compact:
    """``packages.NAME``: versions as a list go with the declared targets, as a mapping they are of the flat form."""

    versions: tuple[Versions, ...] | Mapping[str, tuple[At[FlatWheel], ...]]
    targets: tuple[str, ...] = ()
    abi: str | None = None
    upstream: str = USE
    build: tuple[ConditionalRules, ...] = ()
    check: Check = Check()
    sdist: PinnedSdist | None = None
    status: Status = Status()
    tracks: tuple[str, ...] = ()
    alternate_locations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RawMatrix:
    """The whole file, each part right in itself."""

    packages: Mapping[str, At[Compact]] = field(default_factory=dict)
    index: str | None = None
    index_url: str | None = None
    public_index: str | None = None
    cooldown: int | None = None
    """Seconds."""
    instances: Mapping[str, RawInstance] = field(default_factory=dict)
    targets: Mapping[str, At[RawTarget]] = field(default_factory=dict)
    components: Components | None = None
    golden: Mapping[str, Golden] = field(default_factory=dict)


def assemble(raw: RawMatrix, place: Place) -> Matrix:
    """Join the parts; note what does not fit together at its place and raise :class:`Unreadable`."""
    instances = {name: found.named(name) for name, found in raw.instances.items()}
    targets = {name: _target(name, found, instances) for name, found in raw.targets.items()}
    targets |= _flat_targets(raw, instances, targets)
    packages = tuple(
        Package(name=name, entries=_entries(found, raw), settings=_settings(name, found))
        for name, found in raw.packages.items()
    )
    _report_same_names(raw)
    if place.problems:
        raise Unreadable
    return Matrix(
        index=raw.index,
        index_url=raw.index_url,
        public_index=raw.public_index,
        cooldown=raw.cooldown,
        instances=instances,
        targets=targets,
        packages=packages,
        components=raw.components,
        golden=tuple(replace(found, name=name) for name, found in raw.golden.items()),
    )


def _settings(name: str, found: At[Compact]) -> Settings:
    package = found.value
    for key, urls in (("tracks", package.tracks), ("alternate_locations", package.alternate_locations)):
        for url in urls:
            if canonicalize_name(urlsplit(url).path.rstrip("/").rpartition("/")[2]) != canonicalize_name(name):
                found.report(f"{key}: {url} is not the page of {name} at another index, as PEP 708 asks for")
    return Settings(status=package.status, tracks=package.tracks, alternate_locations=package.alternate_locations)


def _target(name: str, found: At[RawTarget], instances: Mapping[str, Instance]) -> Target | LocalTarget:
    raw = found.value
    kind = _worker(found, instances)
    if raw.instance and kind == LOCAL:
        return LocalTarget(
            name=name,
            instance=raw.instance,
            arch=raw.arch,
            platforms=raw.platform_tag,
            pythons=raw.python,
            exec_properties=raw.exec_properties,
        )
    for key in ("arch", "platform_tag", "python"):
        if getattr(raw, key) is None:
            found.report(f"the key '{key}' is missing: only a target whose instance is local may leave it out")
    return Target(
        name=name,
        instance=raw.instance,
        arch=raw.arch or "",
        platforms=raw.platform_tag or (),
        pythons=raw.python or (),
        exec_properties=raw.exec_properties,
    )


def _worker(found: At[RawTarget], instances: Mapping[str, Instance]) -> str | None:
    """Return the kind of worker; an instance that is not declared is a ``core-ci`` one, whose name has a slash.

    ``None`` where any will do that fits, of which there has to be one.
    """
    instance, arch = found.value.instance, found.value.arch
    if instance is None:
        if not instances:
            found.report("the key 'instance' is missing, and no instances are declared of which one could fit")
        return None
    known = declared(instances, instance, arch)
    if known is not None:
        return known.worker
    others = ", ".join(name for name in instances if name.startswith(f"{instance},"))
    if others:
        found.report(f"the instance '{instance}' is not declared for {arch}, only as {others}")
    elif "/" not in instance:
        near = get_close_matches(instance, instances, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"declare it under instances (there: {_listed(instances)})"
        found.report(f"unknown instance '{instance}'; {hint}")
    return CORE_CI


def _flat_targets(
    raw: RawMatrix, instances: Mapping[str, Instance], declared: Mapping[str, Target | LocalTarget]
) -> dict[str, Target | LocalTarget]:
    """Make a target for each platform of the flat form, with all the interpreters that its wheels name."""
    made: dict[str, Target | LocalTarget] = {}
    for found in _flat_wheels(raw):
        wheel = found.value
        said = RawTarget(
            instance=wheel.platform_instance,
            arch=wheel.platform_arch,
            platform_tag=wheel.platform_tag,
            python=wheel.python,
            exec_properties=wheel.exec_properties,
        )
        target = _target(wheel.name, At(said, found.node, found.place), instances)
        known = made.get(wheel.name, declared.get(wheel.name))
        if known is None:
            made[wheel.name] = target
        elif replace(known, pythons=()) != replace(target, pythons=()):
            found.report(f"the target '{wheel.name}' is another platform, instance or processor elsewhere in this file")
        elif wheel.name in made:
            every = dict.fromkeys([*(known.pythons or ()), *wheel.python])
            made[wheel.name] = replace(known, pythons=tuple(sorted(every)))
    return made


def _flat_wheels(raw: RawMatrix) -> Iterator[At[FlatWheel]]:
    for found in raw.packages.values():
        if isinstance(found.value.versions, Mapping):
            for wheels in found.value.versions.values():
                yield from wheels


def _entries(found: At[Compact], raw: RawMatrix) -> tuple[Entry, ...]:
    package = found.value
    if isinstance(package.versions, Mapping):
        for key in ("abi", "targets"):
            if getattr(package, key):
                found.report(f"the key '{key}' has no effect on the flat form, where each wheel says its own")
        return tuple(_flat_entries(package, package.versions))
    for pattern in dict.fromkeys(pattern for rule in package.build for pattern in rule.on):
        if not any(matches((pattern,), name) for name in raw.targets):
            found.report(f"build: no target is named '{pattern}' (there are {_listed(raw.targets)})")
    for pattern in dict.fromkeys([*package.targets, *(each for item in package.versions for each in item.targets)]):
        if not any(matches((pattern,), name) for name in raw.targets):
            found.report(f"no target is named '{pattern}' (there are {_listed(raw.targets)})")
    if not raw.targets:
        found.report("the package names no target: declare some under targets, or give its versions in the flat form")
    return tuple(
        Entry(
            text=text,
            target=name,
            rules=tuple(rule for rule in (*raw.targets[name].value.build, *package.build) if rule.holds_on(name)),
            check=package.check,
            abi3=package.abi is not None,
            upstream=IGNORE not in {package.upstream, raw.targets[name].value.upstream},
            sdist=package.sdist,
        )
        for item in package.versions
        for text in item.versions
        for name in raw.targets
        if _chosen(package.targets, name) and _chosen(item.targets, name)
    )


def _chosen(patterns: tuple[str, ...], target: str) -> bool:
    return not patterns or matches(patterns, target)


def _flat_entries(package: Compact, versions: Mapping[str, tuple[At[FlatWheel], ...]]) -> Iterator[Entry]:
    for text, wheels in versions.items():
        for wheel in (found.value for found in wheels):
            rules = (*wheel.build, *(rule for rule in package.build if rule.holds_on(wheel.name)))
            yield Entry(
                text=text,
                target=wheel.name,
                rules=tuple(replace(rule, on=()) for rule in rules),
                check=wheel.check if wheel.check != Check() else package.check,
                pythons=wheel.python,
                upstream=wheel.upstream == USE,
                sdist=wheel.sdist or package.sdist,
            )


def _report_same_names(raw: RawMatrix) -> None:
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in raw.packages:
        spellings[canonicalize_name(name)].append(name)
    for names in spellings.values():
        for again in names[1:]:
            raw.packages[again].report(f"the package is there already, as {names[0]} (PEP 503)")


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(names) or "none"
