from __future__ import annotations

import pytest

from tasks.monorepo.build_file import DEPENDANT_KINDS, BuildFile, Unreadable, read_build
from tasks.monorepo.values import Exported, Glob, Said, SetupPy, Sources, Target

DOCUMENTED = """\
# License boilerplate omitted
import os


# Private target so that a setup_py can exist without a circular dependency. Only targets within
# this file should depend on this.
python_library(
  name = '_runner',
  # The target covers every python file under this directory and subdirectories.
  sources = rglobs('*.py'),
  dependencies = [
    '3rdparty/python:twitter.common.app',
    '3rdparty/python:twitter.common.log',
    # Source dependencies are always referenced without a ':'.
    'src/main/python/apache/thermos/common',
    'src/main/python/apache/thermos/config',
    'src/main/python/apache/thermos/core',
  ],
)

# Binary target for thermos_runner.pex. Nothing should depend on this - it's only used as an
# argument to ./pants binary.
python_binary(
  name = 'thermos_runner',
  # Use entry_point, not source so the files used here are the same ones tests see.
  entry_point = 'apache.thermos.bin.thermos_runner',
  dependencies = [
    # Notice that we depend only on the single private target from this BUILD file here.
    ':_runner',
  ],
)

# The public library that everyone importing the runner symbols uses.
# The test targets and any other dependent source code should depend on this.
python_library(
  name = 'runner',
  dependencies = [
    # Again, notice that we depend only on the single private target from this BUILD file here.
    ':_runner',
  ],
  # We always provide a setup_py. This will cause any dependee libraries to automatically
  # reference this library in their requirements.txt rather than copy the source files into their
  # sdist.
  provides = setup_py(
    # Conventionally named and versioned.
    name = 'apache.thermos.runner',
    version = open(os.path.join(get_buildroot(), '.auroraversion')).read().strip().upper(),
  ).with_binaries({
    # Every binary in this file should also be repeated here.
    # Always use the dict-form of .with_binaries so that commands with dashes in their names are
    # supported.
    # The console script name is always the same as the PEX with .pex stripped.
    'thermos_runner': ':thermos_runner',
  }),
)
"""
LIBRARY = "python_library(name = 'x', {})"


def read(path: str) -> str:
    """Stand for the files below the build root."""
    try:
        return {".auroraversion": "0.23.0-snapshot\n", ".version": "1.2.3", "empty": ""}[path]
    except KeyError:
        raise LookupError("there is no such file") from None


def build(text: str | bytes, kinds: tuple[str, ...] = ("python_library", "python_binary", "resources")) -> BuildFile:
    source = text if isinstance(text, bytes) else text.encode()
    return read_build(source, file="BUILD", directory="a/b/x", read=read, kinds=kinds)


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(Unreadable) as caught:
        build(text)
    return list(caught.value.messages)


def target(arguments: str) -> Target:
    (only,) = build(LIBRARY.format(arguments)).targets
    return only


def test_the_documented_form_is_read_as_its_users_write_it() -> None:
    assert build(DOCUMENTED).targets == (
        Target(
            kind="python_library",
            name="_runner",
            line=7,
            sources=Sources(line=10, glob=Glob(function="rglobs", patterns=("*.py",))),
            dependencies=(
                Said("3rdparty/python:twitter.common.app", 12),
                Said("3rdparty/python:twitter.common.log", 13),
                Said("src/main/python/apache/thermos/common", 15),
                Said("src/main/python/apache/thermos/config", 16),
                Said("src/main/python/apache/thermos/core", 17),
            ),
            dependencies_line=11,
        ),
        Target(
            kind="python_binary",
            name="thermos_runner",
            line=23,
            entry_point=Said("apache.thermos.bin.thermos_runner", 26),
            dependencies=(Said(":_runner", 29),),
            dependencies_line=27,
        ),
        Target(
            kind="python_library",
            name="runner",
            line=35,
            dependencies=(Said(":_runner", 39),),
            dependencies_line=37,
            provides=SetupPy(
                name=Said("apache.thermos.runner", 46),
                version=Said("0.23.0-SNAPSHOT", 47),
                line=44,
                binaries=(Exported(script="thermos_runner", address=":thermos_runner", line=53),),
            ),
        ),
    )


def test_the_keyword_form_of_with_binaries_is_read() -> None:
    provides = target(
        "provides = setup_py(name = 'x', version = '1').with_binaries(run = ':run', stop = ':stop')"
    ).provides
    assert provides is not None
    assert provides.binaries == (
        Exported(script="run", address=":run", line=1, keyword=True),
        Exported(script="stop", address=":stop", line=1, keyword=True),
    )


@pytest.mark.parametrize(
    ("written", "sources"),
    [
        ("globs('*.py', 'x/*.py')", Sources(line=1, glob=Glob(function="globs", patterns=("*.py", "x/*.py")))),
        ("zglobs('**/*.js')", Sources(line=1, glob=Glob(function="zglobs", patterns=("**/*.js",)))),
        ("['a.py', 'b.py']", Sources(line=1, files=(Said("a.py", 1), Said("b.py", 1)))),
        ("[]", Sources(line=1)),
        (
            "rglobs('*.py', exclude = ['a.py', [globs('b*')]])",
            Sources(
                line=1,
                glob=Glob(
                    function="rglobs",
                    patterns=("*.py",),
                    exclude=(Glob(function="globs", patterns=("a.py",)), Glob(function="globs", patterns=("b*",))),
                ),
            ),
        ),
    ],
)
def test_sources_are_read(written: str, sources: Sources) -> None:
    assert target(f"sources = {written}").sources == sources
    assert target(f"resources = {written}").resources == sources


@pytest.mark.parametrize(
    "more", ["tags = ['a', 1, None, True]", "tags = {'a'}", "x = {'a': {'b': ()}}", "sources = None"]
)
def test_arguments_that_are_not_known_or_nothing_are_ignored(more: str) -> None:
    assert target(more) == Target(kind="python_library", name="x", line=1)


def test_a_byte_order_mark_is_none_of_the_text() -> None:
    assert build(b"\xef\xbb\xbfresources(name = 'x')").targets == (Target(kind="resources", name="x", line=1),)


def test_tests_are_declared_outside_the_root_only() -> None:
    assert [each.kind for each in build("python_tests(name = 'x')", DEPENDANT_KINDS).targets] == ["python_tests"]
    assert problems("python_tests(name = 'x')") == [
        "BUILD:1: unknown function python_tests(...); expected one of python_library, python_binary, resources; nothing is run"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "BUILD:1: expected import os or a target such as python_library(...), found 'x = 1'; nothing is run"),
        (
            "def f(): ...",
            "BUILD:1: expected import os or a target such as python_library(...), found 'def f(): ...'; nothing is run",
        ),
        (
            "import sys",
            "BUILD:1: expected import os or a target such as python_library(...), found 'import sys'; nothing is run",
        ),
        (
            "import os.path",
            "BUILD:1: expected import os or a target such as python_library(...), found 'import os.path'; nothing is run",
        ),
        (
            "import os as o",
            "BUILD:1: expected import os or a target such as python_library(...), found 'import os as o'; nothing is run",
        ),
        (
            "from os import path",
            "BUILD:1: expected import os or a target such as python_library(...), found 'from os import path'; nothing is run",
        ),
        (
            "'text'",
            "BUILD:1: expected import os or a target such as python_library(...), found ''text''; nothing is run",
        ),
        (
            "python_library",
            "BUILD:1: expected import os or a target such as python_library(...), found 'python_library'; nothing is run",
        ),
        (
            "for x in y: f()",
            "BUILD:1: expected import os or a target such as python_library(...), found 'for x in y: f()'; nothing is run",
        ),
        ("[1]", "BUILD:1: expected import os or a target such as python_library(...), found '[1]'; nothing is run"),
        (
            "print('x')",
            "BUILD:1: unknown function print(...); expected one of python_library, python_binary, resources; nothing is run",
        ),
        (
            "python_libary(name = 'x')",
            "BUILD:1: unknown function python_libary(...); did you mean python_library(...)?",
        ),
        (
            "python_tests(name = 'x')",
            "BUILD:1: unknown function python_tests(...); expected one of python_library, python_binary, resources; nothing is run",
        ),
        (
            "target.more(name = 'x')",
            "BUILD:1: unknown function target.more(...); expected one of python_library, python_binary, resources; nothing is run",
        ),
        (
            "(lambda: 1)()",
            "BUILD:1: unknown function lambda: 1(...); expected one of python_library, python_binary, resources; nothing is run",
        ),
        ("python_library(name = 'x'\n", "BUILD:1: not Python: '(' was never closed"),
        ("python_library(name = 'x'))", "BUILD:1: not Python: unmatched ')'"),
        ("\tx", "BUILD:1: not Python: unexpected indent"),
        ("x = '\x00'", "BUILD:1: not Python: found a NUL character"),
        (
            LIBRARY.format("tags = f()()"),
            "BUILD:1: expected a call of globs, rglobs, zglobs, get_buildroot, open, setup_py, found 'f()()'; nothing is run",
        ),
        (LIBRARY.format("sources = ['./']"), "BUILD:1: python_library: sources: './' names no file"),
        ("python_library()", "BUILD:1: python_library: name is missing; write: name = '...'"),
        ("python_library('x')", "BUILD:1: python_library: expected name = value, found 'x'"),
        ("python_library(name = 1)", "BUILD:1: python_library: name: expected text, found 1"),
        ("python_library(name = '')", "BUILD:1: python_library: name: expected text, found an empty text"),
        (
            "python_library(name = 'a:b')",
            "BUILD:1: python_library: name: expected a name without ':', '/' and spaces, found 'a:b'",
        ),
        (
            r"python_library(name = 'a\\b')",
            "BUILD:1: python_library: name: expected a name without ':', '/' and spaces, found 'a\\b'",
        ),
        ("python_library(**x)", "BUILD:1: expected name = value, found **x"),
        (
            "python_library(*['x'])",
            "BUILD:1: expected text, a number, a list, a mapping or a call, found '*['x']'; nothing is run",
        ),
        ("python_library(name = 'x', name = 'y')", "BUILD:1: name: is there already, in line 1"),
        ("python_library(name = 'x')\n\nresources(name = 'x')", "BUILD:3: the target 'x' is there already, in line 1"),
        (
            "python_library(name = 'x', sources = '*.py')",
            "BUILD:1: python_library: sources: expected rglobs(...), globs(...), zglobs(...) or a list of file names, found '*.py'",
        ),
        ("python_library(name = 'x', sources = [1])", "BUILD:1: python_library: sources: expected text, found 1"),
        (
            "python_library(name = 'x', sources = rglobs())",
            "BUILD:1: rglobs: expected a pattern such as '*.py', found none",
        ),
        ("python_library(name = 'x', sources = rglobs(1))", "BUILD:1: rglobs: expected text, found 1"),
        (
            "python_library(name = 'x', sources = rglobs('../*.py'))",
            "BUILD:1: rglobs: '../*.py' leads out of the BUILD file's folder; a file has one BUILD file that owns it",
        ),
        (
            "python_library(name = 'x', sources = ['/x.py'])",
            "BUILD:1: python_library: sources: '/x.py' leads out of the BUILD file's folder; a file has one BUILD file that owns it",
        ),
        (
            "python_library(name = 'x', sources = rglobs('*.py') - ['x.py'])",
            "BUILD:1: expected text, a number, a list, a mapping or a call, found 'rglobs('*.py') - ['x.py']'; nothing is run",
        ),
        (
            "python_library(name = 'x', sources = [f for f in ()])",
            "BUILD:1: expected text, a number, a list, a mapping or a call, found '[f for f in ()]'; nothing is run",
        ),
        (
            "python_library(name = 'x', sources = globs('[z-a].py'))",
            "BUILD:1: globs: '[z-a].py' is no pattern of file names: bad character range z-a at position 15",
        ),
        (
            "python_library(name = 'x', sources = globs('*', exclude = 1))",
            "BUILD:1: globs: exclude: expected text, found 1",
        ),
        (
            "python_library(name = 'x', sources = glob('*'))",
            "BUILD:1: unknown function glob(...); did you mean globs(...)?",
        ),
        ("python_library(name = 'x', sources = globs(''))", "BUILD:1: globs: expected text, found an empty text"),
        (
            "python_library(name = 'x', sources = globs('*', exclude = ['../x']))",
            "BUILD:1: globs: exclude: '../x' leads out of the BUILD file's folder; a file has one BUILD file that owns it",
        ),
        (
            "python_library(name = 'x', dependencies = 'x')",
            "BUILD:1: python_library: dependencies: expected a list of texts, found 'x'",
        ),
        (
            "python_library(name = 'x', dependencies = [1])",
            "BUILD:1: python_library: dependencies: expected text, found 1",
        ),
        (
            "python_library(name = 'x', dependencies = [None])",
            "BUILD:1: python_library: dependencies: expected text, found None",
        ),
        (
            "python_library(name = 'x', dependencies = {'a': 'b'})",
            "BUILD:1: python_library: dependencies: expected a list of texts, found a mapping",
        ),
        (
            "python_library(name = 'x', dependencies = [*x])",
            "BUILD:1: expected text, a number, a list, a mapping or a call, found '*x'; nothing is run",
        ),
        (
            "python_library(name = 'x', dependencies = [x + y])",
            "BUILD:1: expected text, a number, a list, a mapping or a call, found 'x + y'; nothing is run",
        ),
        (
            "python_library(name = 'x', dependencies = (':a', ''))",
            "BUILD:1: python_library: dependencies: expected text, found an empty text",
        ),
        (
            "python_library(name = 'x', provides = 'x')",
            "BUILD:1: python_library: provides: expected setup_py(...), found 'x'",
        ),
        (
            "python_library(name = 'x', provides = artifact('x'))",
            "BUILD:1: unknown function artifact(...); expected one of globs, rglobs, zglobs, get_buildroot, open, setup_py; nothing is run",
        ),
        ("python_library(name = 'x', provides = setup_py('x'))", "BUILD:1: setup_py: expected name = value, found 'x'"),
        (
            "python_library(name = 'x', provides = setup_py(name = 'x'))",
            "BUILD:1: setup_py: version is missing; write: version = '...'",
        ),
        (
            "python_library(name = 'x', provides = setup_py(version = '1'))",
            "BUILD:1: setup_py: name is missing; write: name = '...'",
        ),
        (
            "python_library(name = 'x', provides = setup_py(name = 'x', version = 1))",
            "BUILD:1: setup_py: version: expected text, found 1",
        ),
        (
            "python_library(name = 'x', provides = setup_py(name = 'x', version = open('.version').read()))",
            "BUILD:1: open: expected os.path.join(get_buildroot(), 'FILE'), nothing else is read",
        ),
        (
            "python_library(name = 'x', provides = setup_py(name = 'x', version = os.path.join(get_buildroot(), 'x')))",
            "BUILD:1: os is not imported; write: import os",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = os.path.join(get_buildroot(), 'x')))",
            "BUILD:2: setup_py: version: expected text, found a file",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = open(os.path.join(get_buildroot(), 'gone')).read()))",
            "BUILD:2: open: gone: there is no such file",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = open(os.path.join(get_buildroot(), 'empty')).read()))",
            "BUILD:2: setup_py: version: expected text, found an empty text",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = open(os.path.join(get_buildroot(), '../x')).read()))",
            "BUILD:2: os.path.join: '../x' leads out of the build root",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = open(os.path.join(get_buildroot(), '/etc/x')).read()))",
            "BUILD:2: os.path.join: '/etc/x' leads out of the build root",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = open(os.path.join('/etc', 'x')).read()))",
            "BUILD:2: expected os.path.join(get_buildroot(), 'FILE'), found 'os.path.join('/etc', 'x')'",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = open(os.path.join(get_buildroot())).read()))",
            "BUILD:2: expected os.path.join(get_buildroot(), 'FILE'), found 'os.path.join(get_buildroot())'",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = open(os.path.join(get_buildroot(), '.version'), 'w').read()))",
            "BUILD:2: open: expected one argument, found 'open(os.path.join(get_buildroot(), '.version'), 'w')'",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = open(os.path.join(get_buildroot(), '.version')).read(5)))",
            "BUILD:2: .read() takes no argument, found 'open(os.path.join(get_buildroot(), '.version')).read(5)'",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = open(os.path.join(get_buildroot(), '.version')).write('x')))",
            "BUILD:2: unknown method .write() of a file; there are .read().strip().upper() of a file and .with_binaries({...}) of setup_py",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = open(os.path.join(get_buildroot(), '.version'))))",
            "BUILD:2: setup_py: version: expected text, found a file",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = '1'.lower()))",
            "BUILD:2: unknown method .lower() of '1'; there are .read().strip().upper() of a file and .with_binaries({...}) of setup_py",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = os.environ['X']))",
            "BUILD:2: expected text, a number, a list, a mapping or a call, found 'os.environ['X']'; nothing is run",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = os.popen('x').read()))",
            "BUILD:2: expected text, a number, a list, a mapping or a call, found 'os'; nothing is run",
        ),
        (
            "import os\npython_library(name = 'x', provides = setup_py(name = 'x', version = get_buildroot(1)))",
            "BUILD:2: get_buildroot() takes no argument, found 'get_buildroot(1)'",
        ),
        (
            "python_library(name = 'x', provides = setup_py(name = 'x', version = f'{y}'))",
            "BUILD:1: expected text, a number, a list, a mapping or a call, found 'f'{y}''; nothing is run",
        ),
        (
            "python_library(name = 'x', provides = setup_py(name = 'x', version = '1' if y else '2'))",
            "BUILD:1: expected text, a number, a list, a mapping or a call, found ''1' if y else '2''; nothing is run",
        ),
        (
            "python_library(name = 'x', provides = setup_py(name = 'x', version = '1').with_binaries())",
            "BUILD:1: .with_binaries: expected {'NAME': ':NAME'}, found nothing",
        ),
        (
            "python_library(name = 'x', provides = setup_py(name = 'x', version = '1').with_binaries([':x']))",
            "BUILD:1: .with_binaries: expected {...}, found a list",
        ),
        (
            "python_library(name = 'x', provides = setup_py(name = 'x', version = '1').with_binaries({'a': ':a', 'a': ':b'}))",
            "BUILD:1: the key 'a' is there already, in line 1",
        ),
        (
            "python_library(name = 'x', provides = setup_py(name = 'x', version = '1').with_binaries({1: ':a'}))",
            "BUILD:1: expected a text as the key, found '1'",
        ),
        (
            "python_library(name = 'x', provides = setup_py(name = 'x', version = '1').with_binaries({**y}))",
            "BUILD:1: expected a text as the key, found '**y'",
        ),
        (
            "python_library(name = 'x', provides = setup_py(name = 'x', version = '1').with_binaries(a = 1))",
            "BUILD:1: .with_binaries: a: expected text, found 1",
        ),
        (
            "python_library(name = 'x', tags = f())",
            "BUILD:1: unknown function f(...); expected one of globs, rglobs, zglobs, get_buildroot, open, setup_py; nothing is run",
        ),
        (
            "python_library(name = 'x', tags = 1j)",
            "BUILD:1: expected text, a number, a list, a mapping or a call, found '1j'; nothing is run",
        ),
        (
            "python_library(name = 'x', tags = -1)",
            "BUILD:1: expected text, a number, a list, a mapping or a call, found '-1'; nothing is run",
        ),
        (
            "python_library(name = 'x', tags = python_library(name = 'y'))",
            "BUILD:1: unknown function python_library(...); expected one of globs, rglobs, zglobs, get_buildroot, open, setup_py; nothing is run",
        ),
        (
            "python_binary(name = 'x', entry_point = ['a'])",
            "BUILD:1: python_binary: entry_point: expected text, found a list",
        ),
        (
            "python_binary(name = 'x', source = globs('*.py'))",
            "BUILD:1: python_binary: source: expected text, found globs",
        ),
    ],
)
def test_what_is_not_of_the_language_is_refused_by_line(text: str, message: str) -> None:
    assert problems(text) == [message]


def test_every_statement_is_judged() -> None:
    assert problems("python_library(\n  name = 'x',\n  dependencies = [\n    1,\n  ],\n)\nx = 1\n") == [
        "BUILD:4: python_library: dependencies: expected text, found 1",
        "BUILD:7: expected import os or a target such as python_library(...), found 'x = 1'; nothing is run",
    ]


def test_what_is_not_utf_8_is_refused() -> None:
    assert problems(b"# a\n# \xff\n") == ["BUILD:2: not UTF-8: found the byte 0xff"]


@pytest.mark.parametrize(
    "text",
    [
        "x" + "(" * 300 + ")" * 300,
        LIBRARY.format("tags = 'a'" + ".strip()" * 20_000),
        LIBRARY.format("tags = " + "-" * 20_000 + "1"),
    ],
)
def test_what_is_nested_too_deep_is_refused(text: str) -> None:
    (message,) = problems(text)
    assert message in {
        "BUILD:1: its expressions are nested too deep",
        "BUILD:1: not Python: too many nested parentheses",
    }


def test_an_escape_that_python_deprecates_is_no_warning() -> None:
    assert target(r"description = '\d'") == Target(kind="python_library", name="x", line=1)


def test_a_long_expression_is_cut_in_a_message() -> None:
    (message,) = problems(LIBRARY.format(f"tags = {'a' * 80}"))
    assert message.endswith(f"found '{'a' * 60}…'; nothing is run")
