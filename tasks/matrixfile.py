"""Reads a YAML file into the tree that ``tasks.core`` knows: text as written, lines kept, nothing evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from tasks.core.document import Listing, Mapping, Node, Scalar
from tasks.core.errors import BadInput
from tasks.core.matrix_shape import read_matrix

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.core.matrix import Matrix

DEEPEST = 50
"""Levels of lists and mappings that a file may have; ours need ten."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times faster, and not everywhere


def parse(data: bytes, path: Path) -> Matrix:
    """Read a matrix from the bytes of its file; ``path`` is for messages.

    Raises :class:`BadInput` with every problem of the file, each with its line and key path.
    """
    return read_matrix(read_yaml(data, path), str(path))


def read_yaml(data: bytes, path: Path) -> Node:
    """Read a file's one YAML document. Raises :class:`BadInput` that names file and line."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{path}:{line}: not UTF-8: found the byte 0x{error.object[error.start]:02x}") from error
    if "\t" in text:
        _refuse_tabs(path, text)
    try:
        _refuse_what_is_not_plain(path, text)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise BadInput(f"{path}:{_line_of(error)}: not YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:  # a character that YAML does not allow
        line = text.count("\n", 0, error.position) + 1
        raise BadInput(f"{path}:{line}: not YAML: {str(error).splitlines()[0]}") from error
    if root is None:
        raise BadInput(f"{path}:1: the file is empty, expected a mapping with the key packages")
    problems: list[str] = []
    tree = _convert(root, path, problems, "")
    if problems:
        raise BadInput(*problems)
    return tree


def to_yaml(document: object) -> str:
    """Return plain data as YAML, keys in their order; texts that look like something else are quoted."""
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))


def _refuse_tabs(path: Path, text: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line[: len(line) - len(line.lstrip())]:
            raise BadInput(f"{path}:{number}: the line is indented with a tab, which YAML does not allow; use spaces")


def _refuse_what_is_not_plain(path: Path, text: str) -> None:
    problems = []
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
            problems.append(f"{path}:{line}: YAML aliases, anchors and tags are not used here; write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise BadInput(f"{path}:{line}: lists and mappings are nested more than {DEEPEST} deep")
    if problems:
        raise BadInput(*problems)


def _convert(node: yaml.Node, path: Path, problems: list[str], where: str) -> Node:
    line = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        items = (_convert(item, path, problems, f"{where}[{number}]") for number, item in enumerate(node.value))
        return Listing(items=tuple(items), line=line)
    if isinstance(node, yaml.MappingNode):
        return Mapping(entries=tuple(_entries(node, path, problems, where)), line=line)
    assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - there are three kinds of nodes
    return Scalar(text=node.value, plain=not node.style, line=line)


def _entries(node: yaml.MappingNode, path: Path, problems: list[str], where: str) -> list[tuple[Scalar, Node]]:
    entries: list[tuple[Scalar, Node]] = []
    first: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            problems.append(f"{path}:{line}: {where or 'the file'}: a key must be text, found a list or a mapping")
            continue
        key = Scalar(text=key_node.value, plain=not key_node.style, line=line)
        place = f"{where}.{key.text}" if where else key.text
        if key.text in first:
            problems.append(f"{path}:{line}: {place}: the key is there already, in line {first[key.text]}")
        first.setdefault(key.text, line)
        entries.append((key, _convert(value_node, path, problems, place)))
    return entries


def _line_of(error: yaml.MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return 1 if mark is None else int(mark.line) + 1
