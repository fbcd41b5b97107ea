"""The plan as a value: what is to be built, what is not and why, what cannot be; and its file, ``plan.json``."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from json.encoder import encode_basestring
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from tasks.core.actions import Action
from tasks.core.errors import BadInput
from tasks.core.matrix import Instance, declared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from packaging.utils import NormalizedName

    from tasks.core.matrix import Wanted

FORMAT = "spare-tire/plan"
VERSION = 2
READABLE = (1, VERSION)
"""1 says of no action what it needs, and of no error whether it is a refusal."""
_encode = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A wheel that is not built, and why."""

    package: str
    version: str
    target: str
    python: str
    state: str
    """``present`` (our index has it), ``upstream`` (the public index has it) or ``same`` (as another entry)."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanError:
    """A wheel that was asked for and cannot be planned."""

    package: str
    version: str
    """As asked for: ``latest``, a version, a specifier."""
    target: str
    python: str
    message: str
    refused: bool = False
    """Whether a safety rule would have been broken: the exit code is that of a refusal."""

    @classmethod
    def of(cls, wanted: Wanted, message: str, *, refused: bool = False) -> PlanError:
        """Say of a wanted wheel why it cannot be planned."""
        return cls(
            package=wanted.package,
            version=wanted.text,
            target=wanted.target.name,
            python=wanted.python.tag,
            message=message,
            refused=refused,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that one run of ``plan`` decided, sorted."""

    matrix: str
    """The matrix's digest (``tasks.core.matrix.digest``), without this machine's part where that was not asked for."""
    public_index: str | None = None
    """Where sdists and build requirements come from, where the matrix says so; else pip's configuration counts."""
    instances: Mapping[str, Instance] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    errors: tuple[PlanError, ...] = ()
    warnings: tuple[str, ...] = ()
    sdist_index: str | None = None
    """The URL of the public index that this plan was made with, without user info."""
    own_index: str | None = None
    """Where our own index can be read: a directory, or a URL without user info."""
    own_projects: tuple[NormalizedName, ...] = ()
    """Projects whose sdists the matrix gives, sorted: what the public index has of these names is somebody else's."""

    def visits(self) -> dict[tuple[str, str], tuple[Action, ...]]:
        """Return the actions by (instance, architecture): each group is built in one visit."""
        groups: dict[tuple[str, str], list[Action]] = defaultdict(list)
        for action in self.actions:
            groups[action.instance, action.arch].append(action)
        return {place: tuple(groups[place]) for place in sorted(groups)}

    def instance(self, name: str, arch: str) -> Instance:
        """Return the instance that an action's name and processor mean."""
        found = declared(self.instances, name, arch)
        if found is None:
            raise KeyError(name)
        return found

    def to_json(self) -> bytes:
        """Return the bytes of ``plan.json``: equal plans give equal bytes."""
        document: dict[str, str] = {
            "actions": _lines(_encode(action.to_dict()) for action in self.actions),
            "errors": _lines(_encode(asdict(error)) for error in self.errors),
            "format": _encode(FORMAT),
            "instances": _encode({name: instance.to_dict() for name, instance in self.instances.items()}),
            "matrix": _encode(self.matrix),
            "own_index": _encode(self.own_index),
            "own_projects": _encode(list(self.own_projects)),
            "public_index": _encode(self.public_index),
            "sdist_index": _encode(self.sdist_index),
            "skipped": _lines(map(_line_of(Skipped), self.skipped)),
            "version": _encode(VERSION),
            "warnings": _lines(map(_encode, self.warnings)),
        }
        return ("{\n" + ",\n".join(f'"{key}": {value}' for key, value in document.items()) + "\n}\n").encode()

    @classmethod
    def from_json(cls, data: bytes, file: str) -> Plan:
        """Read a plan. Raises :class:`BadInput` for what is no plan, is of a newer format, or was changed by hand."""
        again = "make it again with nox -s plan"
        document = _parse(data)
        if document is None or document.get("format") != FORMAT:
            raise BadInput(f"{file}: this is no plan (expected JSON with the format {FORMAT}); {again}")
        if (found := document.get("version")) not in READABLE:
            known = " and ".join(map(str, READABLE))
            raise BadInput(f"{file}: the plan's format has version {found}, this reads versions {known}; {again}")
        actions = []
        if not isinstance(document.get("actions"), list):
            raise BadInput(f"{file}: actions: expected a list; {again}")
        for number, entry in enumerate(document["actions"]):
            try:
                actions.append(Action.from_dict(entry))
            except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                raise BadInput(f"{file}: actions[{number}]: {_reason(error)}; {again}") from error
        try:
            return cls(
                matrix=document["matrix"],
                public_index=document["public_index"],
                instances={name: Instance.from_dict(name, found) for name, found in document["instances"].items()},
                actions=tuple(actions),
                skipped=tuple(Skipped(**entry) for entry in document["skipped"]),
                errors=tuple(PlanError(**entry) for entry in document["errors"]),
                warnings=tuple(document["warnings"]),
                sdist_index=document["sdist_index"],
                own_index=document["own_index"],
                own_projects=tuple(map(canonicalize_name, document["own_projects"])),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise BadInput(f"{file}: {_reason(error)}; {again}") from error


def _lines(entries: Iterable[str]) -> str:
    """Write a list, an entry a line."""
    return "[" + ",".join(f"\n{entry}" for entry in entries) + "]"


def _line_of(kind: type[Skipped]) -> Callable[[Skipped], str]:
    """Return what writes such a value, all of whose fields are text: there may be ten thousands of them."""
    names = sorted(kind.__slots__)
    values = attrgetter(*names)
    line = "{" + ", ".join(f'"{name}": %s' for name in names) + "}"
    return lambda value: line % tuple(map(encode_basestring, values(value)))


def _parse(data: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _reason(error: Exception) -> str:
    return f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
