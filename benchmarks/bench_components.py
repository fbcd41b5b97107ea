"""A monorepo of 500 components with 5,000 files: seconds of ``lint`` and ``list``, each the whole process."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.report import Row, median_seconds, report
from tasks import process

ROOT = Path(__file__).parent.parent
COMPONENTS = 500
FILES = 10
"""Of a component, its BUILD file among them."""
MATRIX = "components: {root: src/main/python, version_file: .version}\n"
VERSION = "version = open(os.path.join(get_buildroot(), '.version')).read().strip().upper()"


def main() -> int:
    """Write a monorepo, lint it and list it."""
    with tempfile.TemporaryDirectory() as made, contextlib.chdir(made):
        names = [_component(number) for number in range(COMPONENTS)]
        Path("wheel_matrix.yml").write_text(MATRIX, encoding="utf-8")
        Path(".version").write_text("1.2.3\n", encoding="utf-8")
        Path("3rdparty/python").mkdir(parents=True)
        Path("3rdparty/python/requirements.txt").write_text("requests>=2\nsix\n", encoding="utf-8")
        for number, name in enumerate(names):
            _write(name, number, names)
        files = sum(len(found) for _, _, found in os.walk("src"))
        note = f"{len(names)} components, {files} files"
        rows = [
            Row(work=f"components {verb}", figure=median_seconds(partial(_run, verb)), unit="s", at_most=2, note=note)
            for verb in ("lint", "list")
        ]
        rows.append(Row(work="of which Python and its imports", figure=median_seconds(_imports), unit="s"))
        return report("components", rows)


def _component(number: int) -> str:
    return f"team{number % 10}/area{number // 10 % 5}/part{number:03}"


def _write(name: str, number: int, names: list[str]) -> None:
    """Write a component that depends on up to eight before it; every fifth has two binaries."""
    folder = Path("src/main/python", name)
    (folder / "inner").mkdir(parents=True)
    for file in range(FILES - 1):
        module = folder / ("inner" if file % 2 else ".") / f"module{file}.py"
        module.write_text("def main() -> int:\n    return 0\n", encoding="utf-8")
    own, dotted = folder.name, name.replace("/", ".")
    before = sorted({names[number * step // 9] for step in range(1, 9)} - {name})
    needs = ["3rdparty/python:requests", *(f"src/main/python/{each}" for each in before)]
    listed = "".join(f"    '{each}',\n" for each in needs)
    sources = f"  sources = rglobs('*.py'),\n  dependencies = [\n{listed}  ],\n"
    provides = f"  provides = setup_py(name = '{dotted}', {VERSION})"
    if number % 5:
        text = f"python_library(\n  name = '{own}',\n{sources}{provides},\n)\n"
    else:
        scripts = [f"{own}-{which}" for which in ("run", "stop")]
        private = f"  dependencies = [':_{own}'],\n"
        text = f"python_library(\n  name = '_{own}',\n{sources})\n" + "".join(
            f"python_binary(\n  name = '{script}',\n  entry_point = '{dotted}.module0:main',\n{private})\n"
            for script in scripts
        )
        exported = ", ".join(f"'{script}': ':{script}'" for script in scripts)
        text += f"python_library(\n  name = '{own}',\n{private}{provides}.with_binaries({{{exported}}}),\n)\n"
    (folder / "BUILD").write_text(f"import os\n\n{text}", encoding="utf-8")


def _run(verb: str) -> None:
    ran = process.run([sys.executable, "-m", "tasks.components", verb], env=_environment())
    if ran.returncode:
        raise SystemExit(f"{ran.stdout}{ran.stderr}")


def _imports() -> None:
    process.run([sys.executable, "-c", "import tasks.components"], env=_environment())


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


if __name__ == "__main__":
    sys.exit(main())
