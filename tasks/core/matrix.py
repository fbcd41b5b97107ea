"""The matrix: what to build and where, in one set of frozen types for both of the file's forms."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from packaging.utils import NormalizedName, canonicalize_name

from tasks.core.resolution import Request, parse_request
from tasks.core.settings import Policy, Settings, Status
from tasks.core.targets import ABI3, LocalTarget, Machine, PythonTag, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    from tasks.core.golden import Golden
    from tasks.core.monorepo import Components

LOCAL = "local"
CORE_CI = "core-ci"
SSH = "ssh"
WORKERS = (LOCAL, CORE_CI, SSH)
DEFAULT_TIMEOUT = 3600
"""Seconds that a build may take where no rule says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """How to get hold of a worker."""

    name: str
    worker: str
    properties: Mapping[str, tuple[str, ...]] | None = None
    """What it is, for targets that name no instance: of each property one or more texts."""
    agent: str | None = None
    """The CI agent that can stand in for a ``local`` instance."""
    host: str | None = None
    """Of ``ssh``: a host's name or address, or an alias of the user's ssh configuration."""
    port: int | None = None
    user: str | None = None
    identity_file: str | None = None
    """Of ``ssh``: the private key's file; ``None`` for the agent, or what the user's configuration names."""
    host_key: tuple[str, ...] | None = None
    """Of ``ssh``: the keys that the host may have, each ``TYPE BASE64``; ``None`` for the user's known hosts."""
    jump: str | None = None
    """Of ``ssh``: the hosts to go through, as ``ssh -J`` takes them."""
    python: Mapping[str, str] | None = None
    """Of ``ssh``, ``core-ci``: interpreters' paths there by tag, as ``cp314``; others are those of its ``PATH``."""
    remote_endpoint: str | None = None
    """Of ``core-ci``: the service's URL; ``None`` for the one that ansible-test knows."""
    remote_stage: str | None = None
    """Of ``core-ci``: ``prod`` or ``dev``; ``None`` for ansible-test's default."""
    remote_provider: str | None = None
    """Of ``core-ci``: who has the machine; ``None`` for what ansible-test knows of the platform."""
    remote_timeout: int | None = None
    """Of ``core-ci``: seconds that may pass until there is a machine to build on; ``None`` for the default."""

    def to_dict(self) -> dict[str, Any]:
        """Return what is said of it, as plain data without its name."""
        said = {name: getattr(self, name) for name in sorted(set(Instance.__slots__) - {"name"})}
        return {name: _plain(value) for name, value in said.items() if value is not None}

    @classmethod
    def from_dict(cls, name: str, data: Mapping[str, Any]) -> Instance:
        """Read what :meth:`to_dict` wrote."""
        said: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        if "properties" in said:
            said["properties"] = {key: tuple(texts) for key, texts in said["properties"].items()}
        return cls(name=name, **said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a package needs to build; ``None`` is "not said here"."""

    constraints: tuple[str, ...] | None = None
    build_requires: tuple[str, ...] | None = None
    env: Mapping[str, str] | None = None
    config_settings: Mapping[str, tuple[str, ...]] | None = None
    system_packages: tuple[str, ...] | None = None
    patches: tuple[str, ...] | None = None
    native: bool | None = None
    network: bool | None = None
    revision: int | None = None
    timeout: int | None = None

    def then(self, later: Rules) -> Rules:
        """Return these rules overridden by later ones: key by key, environments and settings name by name."""
        said = {name: value for name in Rules.__slots__ if (value := getattr(later, name)) is not None}
        for name in ("env", "config_settings"):
            if name in said:
                said[name] = {**(getattr(self, name) or {}), **said[name]}
        return replace(self, **said)

    def to_dict(self) -> dict[str, Any]:
        """Return what is said, as plain data with sorted names."""
        said = {name: value for name in sorted(Rules.__slots__) if (value := getattr(self, name)) is not None}
        return {name: _plain(value) for name, value in said.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Rules:
        """Read what :meth:`to_dict` wrote."""
        known: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        if "config_settings" in known:
            known["config_settings"] = {name: tuple(values) for name, values in known["config_settings"].items()}
        return cls(**known)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionalRules:
    """Rules for some versions (``when``) on some targets (``on``, patterns; empty for all)."""

    rules: Rules
    when: SpecifierSet | None = None
    on: tuple[str, ...] = ()

    def holds_on(self, target: str) -> bool:
        """Whether the rules apply on a target."""
        return not self.on or matches(self.on, target)

    def holds_for(self, version: Version) -> bool:
        """Whether the rules apply to a version; a pre-release counts as any other version."""
        return self.when is None or self.when.contains(version, prereleases=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How a built wheel proves itself; without names to import they are taken from the wheel."""

    imports: tuple[str, ...] = ()
    run: str | None = None
    requires: tuple[str, ...] = ()
    """Requirements that are installed beside the wheel, which does not name them itself."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as the matrix says it, whole."""
        return {"import": list(self.imports), "requires": list(self.requires), "run": self.run}


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedSdist:
    """An sdist given by the matrix: its URL without fragment, its sha256 as 64 hex digits."""

    url: str
    sha256: str
    is_component: bool = False
    """Whether it is made of a component's sources: then other sources need another version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One version of a package on one target."""

    text: str
    """The request as written."""
    target: str
    rules: tuple[ConditionalRules, ...] = ()
    """Those whose ``on`` holds, in order."""
    check: Check = Check()
    pythons: tuple[PythonTag, ...] | None = None
    """``None`` for all interpreters of the target."""
    abi3: bool = False
    """One wheel for the lowest interpreter of the target."""
    upstream: bool = False
    """Whether a wheel on the public index is as good as ours."""
    sdist: PinnedSdist | None = None

    @property
    def request(self) -> Request:
        """The request, parsed."""
        return parse_request(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A project and all that is asked of it."""

    name: str
    """As written, which is how people know it."""
    entries: tuple[Entry, ...]
    settings: Settings = Settings()
    """What its page on our index says besides its files."""

    @property
    def normalized(self) -> NormalizedName:
        """The name as installers compare it (PEP 503)."""
        return canonicalize_name(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A whole ``wheel_matrix.yml``, targets by name."""

    index: str | None = None
    index_url: str | None = None
    """The index's address as installers see it, with a slash at its end."""
    public_index: str | None = None
    instances: Mapping[str, Instance] = field(default_factory=dict)
    targets: Mapping[str, Target | LocalTarget] = field(default_factory=dict)
    packages: tuple[Package, ...] = ()
    cooldown: int | None = None
    """Seconds that a release must be old to be ``latest``."""
    components: Components | None = None
    """The monorepo's own packages."""
    golden: tuple[Golden, ...] = ()
    """Formats whose golden files are checked, in the file's order."""

    def instance(self, name: str, arch: str | None = None) -> Instance:
        """Return an instance; one that is not declared is a ``core-ci`` one."""
        return declared(self.instances, name, arch) or Instance(name=name, worker=CORE_CI)

    @property
    def policy(self) -> Policy:
        """What the pages of the index are to say of the packages besides their files."""
        return Policy(
            projects={package.normalized: package.settings for package in self.packages}, index_url=self.index_url
        )

    @property
    def needs_machine(self) -> bool:
        """Whether some target is this machine, or may be built for here, so that someone has to look at it."""
        return any(self.is_local(name) or self.is_open(name) for name in self.targets)

    def is_local(self, target: str) -> bool:
        """Whether a target is this machine."""
        return isinstance(self.targets[target], LocalTarget)

    def is_open(self, target: str) -> bool:
        """Whether a target goes to whatever instance fits, which may be this machine."""
        here = any(instance.worker == LOCAL for instance in self.instances.values())
        return here and self.targets[target].instance is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One wheel that the matrix asks for, not yet resolved to a version."""

    package: str
    name: NormalizedName
    text: str
    request: Request
    target: Target
    python: PythonTag
    rules: tuple[ConditionalRules, ...]
    check: Check
    upstream: bool
    sdist: PinnedSdist | None

    def rules_for(self, version: Version) -> Rules:
        """Return the rules that apply once the version is known."""
        applied = Rules()
        for conditional in self.rules:
            if conditional.holds_for(version):
                applied = applied.then(conditional.rules)
        return applied


def declared(instances: Mapping[str, Instance], name: str, arch: str | None) -> Instance | None:
    """Return the instance of a processor, ``NAME,arch=ARCH``, or else the one that is for every processor."""
    return instances.get(f"{name},arch={arch}") or instances.get(name)


def matches(patterns: tuple[str, ...], name: str) -> bool:
    """Whether a target's name matches one of the patterns, as a shell matches file names."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def wanted(matrix: Matrix, machine: Machine | None) -> tuple[Wanted, ...]:
    """Return every wheel that the matrix asks for, in its order; ``machine`` is what a local target leaves open."""
    used = {entry.target for package in matrix.packages for entry in package.entries}
    targets = {name: _on(target, machine) for name, target in matrix.targets.items() if name in used}
    found: list[Wanted] = []
    for package in matrix.packages:
        name = package.normalized
        for entry in package.entries:
            request, target = entry.request, targets[entry.target]
            found += [
                Wanted(
                    package=package.name,
                    name=name,
                    text=entry.text,
                    request=request,
                    target=target,
                    python=python,
                    rules=entry.rules,
                    check=entry.check,
                    upstream=entry.upstream,
                    sdist=entry.sdist,
                )
                for python in _pythons(entry, target)
            ]
    return tuple(found)


def flat(matrix: Matrix, machine: Machine | None) -> dict[str, Any]:
    """Return the matrix in the flat form, unresolved; reading it back gives the same plan."""
    packages: dict[str, Any] = {}
    for package in matrix.packages:
        settings = _flat_settings(package.settings)
        versions = packages.setdefault(package.name, {"versions": {}, **settings})["versions"]
        for entry in package.entries:
            target = _on(matrix.targets[entry.target], machine)
            wheels = versions.setdefault(entry.text, {"wheels": []})["wheels"]
            wheels.append(_flat_entry(entry, target))
    used = {_on(matrix.targets[entry.target], machine).instance for p in matrix.packages for entry in p.entries}
    instances = {  # which of them is first counts where a target is open
        name: found.to_dict()
        for name, found in (matrix.instances.items() if None in used else sorted(matrix.instances.items()))
        if None in used or name.partition(",")[0] in used
    }
    top = {
        "index": matrix.index,
        "index_url": matrix.index_url,
        "public_index": matrix.public_index,
        "cooldown": _duration(matrix.cooldown),
        "instances": instances,
        "packages": packages,
    }
    return {key: value for key, value in top.items() if value or key == "packages"}


def digest(matrix: Matrix, machine: Machine | None) -> str:
    """Return the sha256 of what the matrix means, 64 hex digits: equal for both forms, whatever the comments."""
    canonical = json.dumps(flat(matrix, machine)["packages"], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def elsewhere(matrix: Matrix) -> Matrix:
    """Return what the matrix asks for on other machines than this one: it means the same wherever it is read."""
    packages = (
        replace(package, entries=tuple(entry for entry in package.entries if not matrix.is_local(entry.target)))
        for package in matrix.packages
    )
    return replace(matrix, packages=tuple(packages))


def _on(target: Target | LocalTarget, machine: Machine | None) -> Target:
    if isinstance(target, Target):
        return target
    if machine is None:
        message = f"the target {target.name} is this machine, which nobody has looked at"
        raise ValueError(message)
    return target.on(machine)


def _pythons(entry: Entry, target: Target) -> tuple[PythonTag, ...]:
    if entry.pythons is not None:
        return entry.pythons
    if entry.abi3 and target.pythons:
        stable = [python for python in target.pythons if not python.free_threaded]
        others = [python for python in target.pythons if python.free_threaded]  # they have no stable ABI yet
        return (*(replace(python, abi=ABI3) for python in sorted(stable)[:1]), *others)
    return target.pythons


def _flat_entry(entry: Entry, target: Target) -> dict[str, Any]:
    made: dict[str, Any] = {
        "platform_tag": ".".join(target.platforms),
        **({"platform_instance": target.instance} if target.instance else {}),
        **({"exec_properties": dict(sorted(target.exec_properties.items()))} if target.exec_properties else {}),
        "platform_arch": target.arch,
        "target": target.name,
        "python": [
            {"tag": python.tag} | ({"abi": ABI3} if python.abi == ABI3 else {}) for python in _pythons(entry, target)
        ],
    }
    if entry.upstream:
        made["upstream"] = "use"
    if entry.rules:
        made["build"] = [
            ({"when": str(rule.when)} if rule.when is not None else {}) | rule.rules.to_dict() for rule in entry.rules
        ]
    check = {key: value for key, value in entry.check.to_dict().items() if value}
    if check:
        made["check"] = check
    if entry.sdist:
        made["sdist"] = f"{entry.sdist.url}#sha256={entry.sdist.sha256}"
    return made


def _flat_settings(settings: Settings) -> dict[str, Any]:
    status = {"state": settings.status.state, "reason": settings.status.reason}
    made = {
        "status": {key: value for key, value in status.items() if value} if settings.status != Status() else None,
        "tracks": list(settings.tracks),
        "alternate_locations": list(settings.alternate_locations),
    }
    return {key: value for key, value in made.items() if value}


def _duration(seconds: int | None) -> str | None:
    return None if seconds is None else f"{seconds // 3600}h"


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    if hasattr(value, "items"):
        return {key: _plain(item) for key, item in sorted(value.items())}
    return value
