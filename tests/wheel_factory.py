"""Makes real, small wheels."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from typing import TYPE_CHECKING

from packaging.tags import parse_tag

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"


def make_wheel(
    directory: Path,
    name: str = "demo",
    version: str = "1.0",
    *,
    tag: str = "py3-none-any",
    text: str = "",
    headers: str = "",
    record: bool = True,
    more: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a wheel with one module into ``directory`` and return its path; ``record=False`` leaves RECORD empty.

    ``more`` are further members; compressed tag sets in ``tag`` become several lines of ``WHEEL``.
    """
    escaped = name.replace("-", "_")
    info = f"{escaped}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{headers}"
    tags = "\nTag: ".join(sorted(str(each) for each in parse_tag(tag)))
    files = {
        f"{escaped.lower()}.py": f"VERSION = {version!r}\n{text}".encode(),
        **(more or {}),
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": WHEEL.format(tag=tags).encode(),
    }
    lines = [f"{path},sha256={_hash(content)},{len(content)}" for path, content in files.items()]
    files[f"{info}/RECORD"] = ("\n".join([*(lines if record else []), f"{info}/RECORD,,"]) + "\n").encode()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{escaped}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in files.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return path


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
