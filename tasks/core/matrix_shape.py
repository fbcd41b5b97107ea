"""The shape of ``wheel_matrix.yml``: what each key holds, read from a file and described as JSON Schema."""

from __future__ import annotations

import re
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, canonicalize_name

from tasks.core.addresses import SECURE, secure, without_credentials
from tasks.core.document import Node, Place
from tasks.core.errors import BadInput
from tasks.core.golden import Golden, Reader
from tasks.core.matrix import WORKERS, Check, ConditionalRules, Matrix, PinnedSdist, Rules
from tasks.core.matrix_forms import Compact, FlatWheel, RawInstance, RawMatrix, RawTarget, Versions, assemble
from tasks.core.monorepo import REQUIREMENTS, RULES, Components, Waiver, parse_path
from tasks.core.resolution import parse_request
from tasks.core.settings import STATES, Status
from tasks.core.shapes import (
    Boolean,
    ByKind,
    Field,
    Integer,
    ListOf,
    Located,
    Mapped,
    MappingOf,
    Record,
    Schema,
    Text,
    Unreadable,
    choice,
)
from tasks.core.targets import ABI3, PythonTag, parse_platforms

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"(?P<number>[1-9][0-9]*)(?P<unit>[smh]?)")
_AGES = {"h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_AGE = re.compile(r"(?P<number>[1-9][0-9]{0,3})(?P<unit>[hdw])")
_SDIST = re.compile(r"(?P<url>[a-z][a-z0-9+.-]*://[^#\s]+)#sha256=(?P<sha256>[0-9a-f]{64})")
SUBJECTS = ("packages", "components", "golden")
"""What a matrix may be about: one of them has to be there."""


def read_matrix(root: Node, file: str) -> Matrix:
    """Read a matrix from its tree; raise :class:`BadInput` with every problem, each with file, line and key path."""
    place = Place()
    try:
        return assemble(MATRIX.read(root, place), place)
    except Unreadable:
        ordered = sorted(place.problems, key=lambda problem: problem.line)
        raise BadInput(*dict.fromkeys(problem.at(file) for problem in ordered)) from None


def schema() -> Schema:
    """Return the JSON Schema (2020-12) of the file, for editors and for tests."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "spare-tire wheel matrix",
        **MATRIX.schema(),
        "anyOf": [{"required": [key]} for key in SUBJECTS],
    }


def _matching(pattern: str) -> Any:  # noqa: ANN401 - a parser for Text, whose type is the text itself
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError
        return text

    return parse


def _word(expected: str, pattern: str) -> Text[str]:
    return Text(expected, _matching(pattern), pattern=f"^(?:{pattern})$")


def _request(text: str) -> str:
    try:
        parse_request(text)
    except ValueError:
        raise ValueError from None  # the shape says what is expected
    return text


def _requirement(text: str) -> str:
    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        raise ValueError(str(error).splitlines()[0]) from error
    if found.url:
        raise ValueError("installers run outside the sandbox, so they get no URL")
    return text


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError("it has a NUL character")
    return text


def _public(text: str) -> str:
    """Refuse credentials: a matrix is read by many, and so is what is written from it."""
    if without_credentials(text) != text:
        raise ValueError("a password does not belong in this file; netrc and PIP_INDEX_URL are for that")
    return _text(text)


def _specifier(text: str) -> SpecifierSet:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        raise ValueError from None


def _name(text: str) -> str:
    try:
        canonicalize_name(text, validate=True)
    except InvalidName:
        raise ValueError from None
    return text


def _duration(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError
    return int(match["number"]) * _SECONDS[match["unit"]]


def _age(text: str) -> int:
    match = _AGE.fullmatch(text)
    if match is None:
        raise ValueError
    return int(match["number"]) * _AGES[match["unit"]]


def _sdist(text: str) -> PinnedSdist:
    match = _SDIST.fullmatch(_public(text))
    if match is None:
        raise ValueError
    return PinnedSdist(url=match["url"], sha256=match["sha256"])


def _index_url(text: str) -> str:
    return secure(text) if text.endswith("/") else f"{secure(text)}/"


def _rules(**said: Any) -> ConditionalRules:  # noqa: ANN401 - the values come from the shapes below
    when, on = said.pop("when", None), said.pop("on", ())
    return ConditionalRules(rules=Rules(**said), when=when, on=on)


def _check(**said: Any) -> Check:  # noqa: ANN401 - `import` is a keyword of Python, not of the matrix
    return Check(imports=said.pop("import", ()), **said)


def _reason(text: str) -> str:
    if not text.strip():
        raise ValueError
    return _text(text)


def _property(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError
    return text


def _matrix(**said: Any) -> RawMatrix:  # noqa: ANN401 - the values come from the shapes below
    if not said.keys() & {*SUBJECTS}:
        raise ValueError("the key 'packages' is missing: what to build")
    return RawMatrix(**said)


def _python(tag: PythonTag, abi: str | None = None) -> PythonTag:
    return PythonTag.parse(tag.tag, abi)


def _joined(sets: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(platform for platforms in sets for platform in platforms))


ANY_TEXT = Text("text", _text)
PATH = Text("a path", _text)
LOCATION = Text("a directory or a URL without credentials", _public)
REQUIREMENT = Text("a requirement as PEP 508 writes it", _requirement)
PATTERN = Text("a pattern of target names, such as freebsd-*", str)
PLATFORM = Text("a platform tag", parse_platforms, pattern=r"^[A-Za-z0-9_.]+$")
PYTHON_TAG = Text("an interpreter tag", PythonTag.parse, pattern=r"^cp[0-9]{2,3}t?$")
ARCH = _word("a processor such as x86_64 or aarch64", r"[A-Za-z0-9_]+")
TARGET_NAME = _word("a name: letters, digits, '.', '_' and '-'", r"[A-Za-z0-9][A-Za-z0-9._-]*")
_INSTANCE = r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)?"
INSTANCE_NAME = _word("an instance such as local or freebsd/15.1", _INSTANCE)
DECLARED_NAME = _word(
    "an instance such as local or freebsd/15.1, or of one processor: freebsd/15.1,arch=aarch64",
    rf"{_INSTANCE}(,arch=[A-Za-z0-9_]+)?",
)
HOST = _word("a host's name or address", r"[A-Za-z0-9_][A-Za-z0-9._:-]*")
USER = _word("a user's name", r"[A-Za-z_][A-Za-z0-9._-]*")
JUMP = _word("hosts to go through: [USER@]HOST[:PORT], separated by commas", r"[A-Za-z0-9_][A-Za-z0-9._:@,\[\]-]*")
HOST_KEY = _word("a public key, TYPE BASE64, as in known_hosts", r"[a-z][a-z0-9@.-]* [A-Za-z0-9+/]+={0,2}")
ABSOLUTE = _word("an absolute path of letters, digits and '._+-'", r"(/[A-Za-z0-9._+-]+)+")
PROJECT_NAME = Text("a project's name", _name)
VARIABLE = _word("the name of an environment variable", r"[A-Za-z_][A-Za-z0-9_]*")
SYSTEM_PACKAGE = _word("the name of a system package", r"[A-Za-z0-9][A-Za-z0-9@/+._-]*")
REQUEST = Text("latest, a version or a specifier", _request, number=True)
UPSTREAM = choice("use or ignore", "use", "ignore")
MODULE = _word("the name of a module", r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
PROJECT_URL = _word("an absolute URL", r"https?://[^\s/?#@]+(/[^\s?#]*)?")
INDEX_URL = Text("a URL that begins with https://, or http:// on loopback", _index_url, pattern=f"^{SECURE.pattern}$")
SERVICE_URL = Text("a URL that begins with https://, or http:// on loopback", secure, pattern=f"^{SECURE.pattern}$")
SDIST = Text("URL#sha256= and 64 hex digits", _sdist, pattern=r"^[a-z][a-z0-9+.-]*://[^#\s]+#sha256=[0-9a-f]{64}$")

TREE_PATH = Text("a relative path such as src/main/python", parse_path, pattern=r"^[^/\\]")
CALLABLE = _word("module:function", r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*")
COMPONENT = _word("a component such as a.b.c, or the folder of a BUILD file", r"[A-Za-z0-9_][A-Za-z0-9_./-]*")

PROPERTY_NAME = _word("the name of a property", r"[A-Za-z_][A-Za-z0-9_.-]*")
PROPERTY = Text("a property's text", _property, number=True)
EXEC_PROPERTIES = MappingOf(PROPERTY, PROPERTY_NAME, "a mapping of properties")

RULE_FIELDS = {
    "constraints": Field(ListOf(REQUIREMENT, "a list of requirements"), "constraints on what the build may install"),
    "build_requires": Field(ListOf(REQUIREMENT, "a list of requirements"), "requirements that the sdist does not name"),
    "env": Field(MappingOf(ANY_TEXT, VARIABLE, "a mapping of environment variables"), "the build's environment"),
    "config_settings": Field(
        MappingOf(ListOf(ANY_TEXT, "text or a list of texts", or_one=True), ANY_TEXT, "a mapping of config settings"),
        "config settings for the build backend (PEP 517); {python_tag} is replaced",
    ),
    "system_packages": Field(ListOf(SYSTEM_PACKAGE, "a list of system packages"), "what the package manager installs"),
    "patches": Field(ListOf(PATH, "a list of paths"), "patches to the sdist, in order; relative to this file"),
    "native": Field(Boolean(), "whether the wheel holds machine code; default: as the public index's wheels"),
    "network": Field(Boolean(), "whether the build may use the network"),
    "revision": Field(Integer("a whole number"), "the wheel's build tag: the only way to replace a published wheel"),
    "timeout": Field(
        Text("a duration: seconds, or 90m, or 2h", _duration, pattern=r"^[1-9][0-9]*[smh]?$", number=True),
        "how long the build may take",
    ),
}
WHEN = {"when": Field(Text("a specifier such as >=5.4,<=6.0", _specifier), "the versions that this is for")}
ON = {"on": Field(ListOf(PATTERN, "a pattern or a list of patterns", or_one=True), "the targets that this is for")}


def _build(fields: dict[str, Field]) -> ListOf[ConditionalRules]:
    return ListOf(Record(fields, _rules, "build rules"), "build rules, or a list of them", or_one=True)


INSTANCE = Record(
    {
        "worker": Field(choice("a kind of worker", *WORKERS), "the kind of worker", required=True),
        "properties": Field(
            MappingOf(
                ListOf(PROPERTY, "a text or a list of them", or_one=True, nonempty=True),
                PROPERTY_NAME,
                "a mapping of properties",
            ),
            "what it is, for targets that name no instance: os, arch, libc, libc_version, python, or others of yours",
        ),
        "agent": Field(ANY_TEXT, "on a CI: the agent that stands in for this local instance"),
        "host": Field(HOST, "ssh: the host's name or address, or an alias of your ssh configuration"),
        "port": Field(Integer("a port's number", maximum=65535), "ssh: the port, 22 if nothing else says so"),
        "user": Field(USER, "ssh: whom to log in as"),
        "identity_file": Field(PATH, "ssh: the private key's file, relative to this one; default: the agent's keys"),
        "host_key": Field(
            ListOf(HOST_KEY, "a public key or a list of them", or_one=True, nonempty=True),
            "ssh: the keys that the host may have; default: those of your known_hosts",
        ),
        "jump": Field(JUMP, "ssh: the hosts to go through"),
        "python": Field(
            MappingOf(ABSOLUTE, PYTHON_TAG, "a mapping of interpreter tags to paths"),
            "ssh and core-ci: interpreters' paths there; others are looked for on its PATH",
        ),
        "remote_endpoint": Field(SERVICE_URL, "core-ci: the service; default: the one that ansible-test knows"),
        "remote_stage": Field(choice("a stage", "prod", "dev"), "core-ci: the service's stage; default: prod"),
        "remote_provider": Field(
            choice("a provider", "aws", "azure", "mac"),
            "core-ci: who has the machine; default: what ansible-test knows of the platform, else aws",
        ),
        "remote_timeout": Field(
            Text("a duration: seconds, or 90m, or 2h", _duration, pattern=r"^[1-9][0-9]*[smh]?$", number=True),
            "core-ci: how long it may take until there is a machine to build on; default: 30m",
        ),
    },
    RawInstance,
    "a mapping with the key worker",
)
TARGET = Record(
    {
        "instance": Field(
            INSTANCE_NAME, "the instance that builds for the target; default: the first that has what it needs"
        ),
        "arch": Field(ARCH, "the processor"),
        "platform_tag": Field(
            Mapped(ListOf(PLATFORM, "a platform tag or a list of them", or_one=True, nonempty=True), _joined),
            "the platform tag of the target's wheels; a list makes a compressed tag set",
        ),
        "python": Field(ListOf(PYTHON_TAG, "a list of interpreter tags", nonempty=True), "the interpreters"),
        "upstream": Field(UPSTREAM, "whether a wheel on the public index makes a build needless"),
        "build": Field(_build({**RULE_FIELDS, **WHEN}), "build rules for every package on the target"),
        "exec_properties": Field(EXEC_PROPERTIES, "what an instance must have besides what the platform tag says"),
    },
    RawTarget,
    "a mapping with the keys instance, arch, platform_tag and python",
)
CHECK = Record(
    {
        "import": Field(ListOf(MODULE, "a list of modules"), "modules that must import"),
        "requires": Field(ListOf(REQUIREMENT, "a list of requirements"), "what is installed beside the wheel"),
        "run": Field(ANY_TEXT, "a command line that must succeed where the wheel is installed"),
    },
    _check,
    "a mapping with the keys import, requires and run",
)
FLAT_PYTHON = Record(
    {
        "tag": Field(PYTHON_TAG, "the interpreter tag", required=True),
        "abi": Field(ANY_TEXT, "the ABI tag: the interpreter tag where it is not given"),
    },
    _python,
    "a mapping with the key tag",
)
FLAT_WHEEL = Record(
    {
        "platform_tag": Field(PLATFORM, "the platform tag, or a compressed set", required=True),
        "platform_instance": Field(INSTANCE_NAME, "the instance that builds it; default: the first that fits"),
        "platform_arch": Field(ARCH, "the processor", required=True),
        "python": Field(
            ListOf(FLAT_PYTHON, "a list of interpreters", nonempty=True), "the interpreters", required=True
        ),
        "target": Field(TARGET_NAME, "the target's name: the platform tag where it is not given"),
        "exec_properties": Field(EXEC_PROPERTIES, "what an instance must have besides what the platform tag says"),
        "upstream": Field(UPSTREAM, "whether a wheel on the public index makes a build needless: ignore"),
        "build": Field(_build({**RULE_FIELDS, **WHEN}), "build rules"),
        "check": Field(CHECK, "how the wheel proves itself"),
        "sdist": Field(SDIST, "the source, pinned"),
    },
    FlatWheel,
    "a mapping with the keys platform_tag, platform_arch and python",
)
SOME_VERSIONS = Record(
    {
        "versions": Field(ListOf(REQUEST, "a list of versions", nonempty=True), "some versions", required=True),
        "targets": Field(
            ListOf(PATTERN, "a list of patterns", nonempty=True), "the targets that they are for", required=True
        ),
    },
    Versions,
    "a version, or a mapping with the keys versions and targets",
)
REQUESTS = ListOf(
    ByKind(
        "latest, a version or a specifier, or a mapping with the keys versions and targets",
        scalar=Mapped(REQUEST, lambda text: Versions(versions=(text,))),
        mapping=SOME_VERSIONS,
    ),
    "a list of versions",
    nonempty=True,
)
FLAT_VERSIONS = MappingOf(
    Record(
        {"wheels": Field(ListOf(Located(FLAT_WHEEL), "a list of wheels"), "the wheels of the version", required=True)},
        lambda wheels: wheels,
        "a mapping with the key wheels",
    ),
    REQUEST,
    "a mapping of versions",
)
STATUS = Record(
    {
        "state": Field(choice("a project's status", *STATES), "the status marker", required=True),
        "reason": Field(ANY_TEXT, "why, for people"),
    },
    Status,
    "a mapping with the keys state and reason",
)
PROJECT_URLS = ListOf(PROJECT_URL, "a list of URLs", nonempty=True)
PACKAGE = Record(
    {
        "versions": Field(
            ByKind("a list of versions, or a mapping of versions to wheels", listing=REQUESTS, mapping=FLAT_VERSIONS),
            "the versions to have wheels of",
            required=True,
        ),
        "targets": Field(ListOf(PATTERN, "a list of patterns", nonempty=True), "the targets to have wheels for: all"),
        "abi": Field(choice("a stable ABI", ABI3), "one wheel for the lowest interpreter of each target"),
        "upstream": Field(UPSTREAM, "whether a wheel on the public index makes a build needless"),
        "build": Field(_build({**RULE_FIELDS, **WHEN, **ON}), "build rules, applied in order after the target's"),
        "check": Field(CHECK, "how a wheel proves itself"),
        "sdist": Field(SDIST, "the source, pinned"),
        "status": Field(STATUS, "the project's status on our index (PEP 792): active"),
        "tracks": Field(PROJECT_URLS, "the project's pages at the indexes that ours extends (PEP 708)"),
        "alternate_locations": Field(PROJECT_URLS, "the project's pages at indexes that share its name (PEP 708)"),
    },
    Compact,
    "a mapping with the key versions",
)
WAIVER: Record[dict[str, Any]] = Record(
    {
        "component": Field(COMPONENT, "its dotted name; of another BUILD file the folder", required=True),
        "rule": Field(choice("a rule", *RULES), "the convention that it may break", required=True),
        "reason": Field(Text("a reason", _reason), "why, for people", required=True),
    },
    dict,
    "a mapping with the keys component, rule and reason",
)
COMPONENTS = Record(
    {
        "root": Field(TREE_PATH, "the folder that the dotted names of components begin below", required=True),
        "version_file": Field(TREE_PATH, "the file that holds the version of all components", required=True),
        "buildroot": Field(TREE_PATH, "what addresses in BUILD files are relative to: the folder of this file"),
        "requirements": Field(TREE_PATH, f"the file of third-party requirements: {REQUIREMENTS} below the buildroot"),
        "dependants": Field(ListOf(TREE_PATH, "a list of paths"), "folders whose BUILD files depend on components"),
        "waivers": Field(
            ListOf(
                Mapped(Located(WAIVER), lambda found: Waiver(**found.value, line=found.node.line)), "a list of waivers"
            ),
            "the conventions that single components may break, and why",
        ),
    },
    Components,
    "a mapping with the keys root and version_file",
)
GOLDEN = Record(
    {
        "paths": Field(
            ListOf(TREE_PATH, "a folder or a list of folders", or_one=True, nonempty=True),
            "the folders of the files, each with its manifest",
            required=True,
        ),
        "reader": Field(
            Record(
                {
                    "command": Field(
                        ListOf(ANY_TEXT, "a program and its arguments", nonempty=True),
                        "run in the folder of this file with a golden file's path; prints what it finds as JSON",
                    ),
                    "callable": Field(CALLABLE, "takes a golden file's Path, returns what it finds as JSON holds it"),
                    "folder": Field(TREE_PATH, "where the callable's module lies: the folder of this file"),
                },
                Reader,
                "a mapping with the key command or callable",
            ),
            "what reads the files",
            required=True,
        ),
    },
    lambda **said: Golden(name="", **said),
    "a mapping with the keys paths and reader",
)
MATRIX = Record(
    {
        "index": Field(LOCATION, "the team's index: a directory, or s3://bucket/prefix"),
        "index_url": Field(INDEX_URL, "the index's address as installers see it, for URLs that have to be absolute"),
        "public_index": Field(LOCATION, "the index that sdists and releases come from, where it is not pip's"),
        "cooldown": Field(
            Text("an age such as 7d or 36h", _age, pattern=r"^[1-9][0-9]{0,3}[hdw]$"),
            "how old a release must be to be latest; the public index must give dates",
        ),
        "instances": Field(MappingOf(INSTANCE, DECLARED_NAME, "a mapping of instances"), "how to get hold of workers"),
        "targets": Field(MappingOf(Located(TARGET), TARGET_NAME, "a mapping of targets"), "the platforms"),
        "packages": Field(
            MappingOf(
                Located(
                    ByKind(
                        "a list of versions, or a mapping with the key versions",
                        listing=Mapped(REQUESTS, lambda versions: Compact(versions=versions)),
                        mapping=PACKAGE,
                    )
                ),
                PROJECT_NAME,
                "a mapping of packages",
            ),
            "what to build",
        ),
        "components": Field(COMPONENTS, "the monorepo's own packages"),
        "golden": Field(
            MappingOf(GOLDEN, TARGET_NAME, "a mapping of formats"), "files that have to stay readable, by their format"
        ),
    },
    _matrix,
    "a mapping with the key packages",
)
