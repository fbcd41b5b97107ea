"""Reads a golden file with a user's Python callable: a program of its own, so that nothing of that runs in ours."""

from __future__ import annotations

import importlib
import json
import sys
from contextlib import redirect_stdout
from pathlib import Path


def main(folder: str, name: str, file: str) -> None:
    """Import ``module:function`` from a folder, and print what the function finds in a file, as JSON."""
    sys.path.insert(0, folder)
    module, _, function = name.partition(":")
    with redirect_stdout(sys.stderr):  # what it says to people is not what it finds
        found = getattr(importlib.import_module(module), function)(Path(file))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
