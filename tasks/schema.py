"""``nox -s schema``: writes the JSON Schema of the matrix, which editors read, from the shapes that read the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tasks import console
from tasks.core.errors import Failed
from tasks.core.matrix_shape import schema

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from tasks.console import Console

FILE = Path("docs/wheel_matrix.schema.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the schema, or with ``--check`` fail where the committed one differs."""
    parser = console.parser("schema", "Write the JSON Schema of wheel_matrix.yml.")
    parser.add_argument("--check", action="store_true", help="only compare with the committed file")
    return console.run(parser, argv, _stage)


def _stage(chosen: argparse.Namespace, terminal: Console) -> int:
    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if not chosen.check:
        FILE.write_text(text, encoding="utf-8")
        terminal.info(f"wrote {FILE}")
    elif not FILE.exists() or FILE.read_text(encoding="utf-8") != text:
        raise Failed(f"{FILE}: is not what the types say; write it with nox -s schema")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
