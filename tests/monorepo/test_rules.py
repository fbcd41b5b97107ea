from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tasks.core.monorepo import RULES, Waiver
from tasks.monorepo.lint import OF_COMPONENT, OF_EVERY_FILE, OF_TREE, Report, Waived, judged, lint
from tasks.monorepo.tree import Address
from tasks.monorepo.values import Finding
from tests.monorepo.trees import CONFORMING, LIB, ROOT, TEST, TOOL, found, tree_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.monorepo.trees import Change

BASE = f"{ROOT}/acme/base"


def test_what_keeps_the_conventions_is_clean() -> None:
    assert found({}) == []


def test_each_rule_is_checked() -> None:
    checked = {rule for rule, _ in (*OF_TREE, *OF_COMPONENT, *OF_EVERY_FILE)}
    assert checked == set(RULES)


@pytest.mark.parametrize(
    ("changes", "findings"),
    [
        pytest.param(
            {LIB: None},
            [
                "…/lib/BUILD:1 R1 there is no BUILD file; write: python_library(name = 'lib', sources = rglobs('*.py'), provides = setup_py(name = 'acme.base.lib', version = open(os.path.join(get_buildroot(), '.version')).read().strip().upper()))",
                "…/tool/BUILD:7 R4 '…/lib' is no component: there is no …/lib/BUILD; leave it out",
            ],
            id="R1: no BUILD file",
        ),
        pytest.param(
            {f"{ROOT}/acme/extra/new/x.py": ""},
            [
                "src/main/python/acme/extra/new/BUILD:1 R1 there is no BUILD file; write: python_library(name = 'new', sources = rglobs('*.py'), provides = setup_py(name = 'acme.extra.new', version = open(os.path.join(get_buildroot(), '.version')).read().strip().upper()))"
            ],
            id="R1: a new folder",
        ),
        pytest.param(
            {f"{ROOT}/acme/BUILD": "resources(name = '_x', sources = [])"},
            [
                "src/main/python/acme/BUILD:1 R1 is on level 1 below the root, components are on 3; move its targets to folders on level 3"
            ],
            id="R1: above",
        ),
        pytest.param(
            {f"{ROOT}/BUILD": ""},
            [
                "src/main/python/BUILD:1 R1 is on level 0 below the root, components are on 3; move its targets to folders on level 3"
            ],
            id="R1: in the root",
        ),
        pytest.param(
            {
                f"{BASE}/lib/deep/BUILD": "python_library(name = 'deep', sources = rglobs('*.py'))",
                f"{BASE}/lib/deep/x.py": "",
            },
            [
                "…/lib/deep/BUILD:1 R1 is on level 4 below the root, components are on 3; move its targets to …/lib/BUILD"
            ],
            id="R1: below",
        ),
        pytest.param(
            {f"{BASE}/lib/BUILD.more": "anything"},
            ["…/lib/BUILD.more:1 R1 is a second BUILD file; move its targets to …/lib/BUILD"],
            id="R1: a second one",
        ),
        pytest.param(
            {LIB: "python_library(\n  name = 'lib',\n  sources = rglobs('*.py'),\n)\n"},
            [
                "…/lib/BUILD:1 R2 no target provides a distribution; write in the python_library 'lib': provides = setup_py(name = 'acme.base.lib', version = open(os.path.join(get_buildroot(), '.version')).read().strip().upper()),"
            ],
            id="R2: nothing provided",
        ),
        pytest.param(
            {LIB: ""},
            [
                "…/lib/BUILD:1 R2 no target provides a distribution; write in the python_library 'lib': provides = setup_py(name = 'acme.base.lib', version = open(os.path.join(get_buildroot(), '.version')).read().strip().upper()),",
                "…/tool/BUILD:7 R4 '…/lib' has no public target; name one 'lib' in …/lib/BUILD",
            ],
            id="R2: no target",
        ),
        pytest.param(
            {
                LIB: CONFORMING[LIB]
                + "python_library(name='_x', sources=rglobs('*.py'), provides = setup_py(name='acme.base.lib', version='1.2.0-SNAPSHOT'))"
            },
            [
                "…/lib/BUILD:14 R2 '_x' provides a distribution, as 'lib' in line 3 does; leave its provides out",
                "…/lib/BUILD:14 R11 'acme.base.lib' is the distribution of '…/lib', too, as pip reads names; rename one of them",
                "…/lib/BUILD:14 R11 …/lib/__init__.py: is in the distribution of '…/lib', too; keep it in one, and depend on that",
            ],
            id="R2: two",
        ),
        pytest.param(
            {
                LIB: CONFORMING[LIB]
                + "resources(name='_x', sources=['__init__.py'], provides = setup_py(name='acme.base.lib', version='1.2.0-SNAPSHOT'))"
            },
            [
                "…/lib/BUILD:14 R2 '_x' provides a distribution, as 'lib' in line 3 does; leave its provides out",
                "…/lib/BUILD:14 R11 'acme.base.lib' is the distribution of '…/lib', too, as pip reads names; rename one of them",
                "…/lib/BUILD:14 R11 …/lib/__init__.py: is in the distribution of '…/lib', too; keep it in one, and depend on that",
            ],
            id="R2: two, of any kind",
        ),
        pytest.param(
            {LIB: ("python_library(", "resources(")},
            ["…/lib/BUILD:3 R2 a target of resources provides the distribution; write: python_library("],
            id="R2: no library",
        ),
        pytest.param(
            {LIB: ("name = 'lib'", "name = 'library'")},
            [
                "…/lib/BUILD:3 R2 the public target is named 'library'; write: name = 'lib',",
                "…/tool/BUILD:7 R4 '…/lib' has no public target; name one 'lib' in …/lib/BUILD",
            ],
            id="R2: another name",
        ),
        pytest.param(
            {LIB: ("'acme.base.lib'", "'acme-base-lib'")},
            ["…/lib/BUILD:10 R2 the distribution is named 'acme-base-lib'; write: name = 'acme.base.lib',"],
            id="R2: another distribution",
        ),
        pytest.param(
            {LIB: ("open(os.path.join(get_buildroot(), '.version')).read().strip().upper()", "'1.2'")},
            [
                "…/lib/BUILD:11 R2 the version is '1.2', and .version says '1.2.0-SNAPSHOT'; write: version = open(os.path.join(get_buildroot(), '.version')).read().strip().upper(),"
            ],
            id="R2: another version",
        ),
        pytest.param(
            {LIB: (".strip().upper()", ".strip()")},
            [
                "…/lib/BUILD:11 R2 the version is '1.2.0-snapshot', and .version says '1.2.0-SNAPSHOT'; write: version = open(os.path.join(get_buildroot(), '.version')).read().strip().upper(),"
            ],
            id="R2: not upper-cased",
        ),
        pytest.param(
            {LIB: ("'.version'", "'other'")},
            [
                "…/lib/BUILD:11 R2 the version is '9', and .version says '1.2.0-SNAPSHOT'; write: version = open(os.path.join(get_buildroot(), '.version')).read().strip().upper(),"
            ],
            id="R2: another version file",
        ),
        pytest.param(
            {LIB: ("rglobs('*.py')", "globs('*.py')")},
            ["…/lib/BUILD:5 R3 the sources are globs('*.py'); write: sources = rglobs('*.py'),"],
            id="R3: globs",
        ),
        pytest.param(
            {LIB: ("rglobs('*.py')", "['__init__.py', 'gone.py']")},
            [
                "…/lib/BUILD:5 R3 the sources are ['__init__.py', 'gone.py']; write: sources = rglobs('*.py'),",
                "…/lib/BUILD:5 R3 there is no file 'gone.py'; leave it out, or add it",
            ],
            id="R3: a list, and a file that is missing",
        ),
        pytest.param(
            {LIB: ("rglobs('*.py')", "rglobs('*.py', exclude = ['x.py'])")},
            ["…/lib/BUILD:5 R3 the sources are rglobs('*.py', exclude = [...]); write: sources = rglobs('*.py'),"],
            id="R3: exclude",
        ),
        pytest.param(
            {f"{BASE}/lib/__init__.py": None},
            ["…/lib/BUILD:5 R3 rglobs('*.py') finds no file; leave it out, or add the files"],
            id="R3: no file",
        ),
        pytest.param(
            {LIB: ("  sources = rglobs('*.py'),\n", "")},
            ["…/lib/BUILD:3 R3 the distribution holds no file; write: sources = rglobs('*.py'),"],
            id="R3: no sources",
        ),
        pytest.param(
            {LIB: ("  sources = rglobs('*.py'),\n", "  sources = rglobs('*.py'),\n  resources = globs('*.css'),\n")},
            ["…/lib/BUILD:6 R3 globs('*.css') finds no file; leave it out, or add the files"],
            id="R3: no resources",
        ),
        pytest.param(
            {LIB: CONFORMING[LIB] + "resources(name = 'ui', sources = ['__init__.py'])"},
            ["…/lib/BUILD:14 R4 'ui' is a private target; write: name = '_ui',"],
            id="R4: a private target without underscore",
        ),
        pytest.param(
            {TOOL: ("name = '_tool',", "name = 'inner',")},
            [
                "…/tool/BUILD:3 R4 'inner' is a private target; write: name = '_inner',",
                "…/tool/BUILD:11 R10 there are binaries, and no private library for them; write: python_library(name = '_tool', sources = rglobs('*.py'), dependencies = [...])",
                "…/tool/BUILD:13 R7 neither sources nor dependencies of the binary 'my-tool' have the module 'acme.base.tool.cli'; add it to the sources",
                "…/tool/BUILD:15 R4 there is no target '_tool' in this file; write ':tool', or add it",
                "…/tool/BUILD:19 R3 the distribution holds no file; write: sources = rglobs('*.py'),",
                "…/tool/BUILD:22 R4 there is no target '_tool' in this file; write ':tool', or add it",
            ],
            id="R4: and what depends on it",
        ),
        pytest.param(
            {TOOL: ("acme/base/lib'", "acme/base/lib:lib'")},
            ["…/tool/BUILD:7 R4 '…/lib:lib' names a public target with ':'; write '…/lib'"],
            id="R4: a public target with a colon",
        ),
        pytest.param(
            {
                LIB: CONFORMING[LIB] + "resources(name = '_ui', sources = ['__init__.py'])",
                TOOL: ("acme/base/lib'", "acme/base/lib:_ui'"),
            },
            [
                "…/tool/BUILD:7 R4 '…/lib:_ui' is private to its BUILD file; write '…/lib'",
                "…/tool/BUILD:19 R11 …/lib/__init__.py: is in the distribution of '…/lib', too; keep it in one, and depend on that",
            ],
            id="R4: a private target of another",
        ),
        pytest.param(
            {TOOL: ("acme/base/lib'", "acme/base/lib:nope'")},
            ["…/tool/BUILD:7 R4 '…/lib:nope' names no target; write '…/lib'"],
            id="R4: no such target there",
        ),
        pytest.param(
            {TOOL: ("acme/base/lib'", "acme/base/lob'")},
            ["…/tool/BUILD:7 R4 '…/lob' is no component: there is no …/lob/BUILD; write '…/lib'"],
            id="R4: no such component",
        ),
        pytest.param(
            {
                TOOL: (
                    "    'src/main/python/acme/base/lib',\n",
                    "    'src/main/python/acme/base/tool:_x',\n    ':_y',\n",
                )
            },
            [
                "…/tool/BUILD:7 R4 there is no target '_x' in this file; add it, or leave this out",
                "…/tool/BUILD:8 R4 there is no target '_y' in this file; add it, or leave this out",
            ],
            id="R4: no such target here",
        ),
        pytest.param(
            {TOOL: ("acme/base/lib'", "acme/base/lib', 'src/thrift', 'src/trhift'")},
            ["…/tool/BUILD:7 R4 'src/trhift' names nothing: there is no src/trhift/BUILD"],
            id="R4: outside the root",
        ),
        pytest.param(
            {LIB: ("3rdparty/python:PyYAML", "src/test/python/tool"), TEST: "python_library(name = 'tool')"},
            [
                "…/lib/BUILD:7 R4 'src/test/python/tool' lies among what depends on components, and components do not depend on it; leave it out"
            ],
            id="R4: a component on a test",
        ),
        pytest.param(
            {TEST: ("acme/base/tool'", "acme/base/tool:_tool'")},
            ["src/test/python/tool/BUILD:5 R4 '…/tool:_tool' is private to its BUILD file; write '…/tool'"],
            id="R4: a test on a private target",
        ),
        pytest.param(
            {TEST: ("acme/base/tool'", "acme/base/gone'")},
            ["src/test/python/tool/BUILD:5 R4 '…/gone' is no component: there is no …/gone/BUILD; write '…/tool'"],
            id="R4: a test on nothing",
        ),
        pytest.param(
            {LIB: ("name = 'lib'", "name = 'library'")},
            [
                "…/lib/BUILD:3 R2 the public target is named 'library'; write: name = 'lib',",
                "…/tool/BUILD:7 R4 '…/lib' has no public target; name one 'lib' in …/lib/BUILD",
            ],
            id="R4: no public target there",
        ),
        pytest.param(
            {LIB: ("PyYAML", "PyYML")},
            [
                "…/lib/BUILD:7 R5 3rdparty/python/requirements.txt does not list 'PyYML'; write '3rdparty/python:pyyaml', or add a line to that file: PyYML"
            ],
            id="R5: misspelt",
        ),
        pytest.param(
            {LIB: ("PyYAML", "zope.interface")},
            [
                "…/lib/BUILD:7 R5 3rdparty/python/requirements.txt does not list 'zope.interface'; add a line to that file: zope.interface"
            ],
            id="R5: not listed",
        ),
        pytest.param(
            {LIB: ("3rdparty/python:PyYAML", "3rdparty/python/PyYAML")},
            ["…/lib/BUILD:7 R5 '3rdparty/python/PyYAML' is a third-party dependency; write '3rdparty/python:PyYAML'"],
            id="R5: a slash",
        ),
        pytest.param(
            {LIB: ("3rdparty/python:PyYAML", "requests")},
            ["…/lib/BUILD:7 R5 'requests' is a third-party dependency; write '3rdparty/python:requests'"],
            id="R5: a bare name",
        ),
        pytest.param(
            {LIB: ("3rdparty/python:PyYAML", "3rdparty/java:requests")},
            ["…/lib/BUILD:7 R5 '3rdparty/java:requests' is a third-party dependency; write '3rdparty/python:requests'"],
            id="R5: another folder",
        ),
        pytest.param(
            {TEST: ("src/main/python/acme/base/tool", "3rdparty/python:mock")},
            [
                "src/test/python/tool/BUILD:5 R5 3rdparty/python/requirements.txt does not list 'mock'; add a line to that file: mock"
            ],
            id="R5: of a test",
        ),
        pytest.param(
            {TOOL: ("'my-tool': ", "'mytool': ")},
            ["…/tool/BUILD:28 R6 the console script 'mytool' runs the binary 'my-tool'; write: 'my-tool': ':my-tool'"],
            id="R6: another script",
        ),
        pytest.param(
            {TOOL: ("'my-tool': ", "'My-Tool': ")},
            ["…/tool/BUILD:28 R6 the console script 'My-Tool' runs the binary 'my-tool'; write: 'my-tool': ':my-tool'"],
            id="R6: another case",
        ),
        pytest.param(
            {TOOL: CONFORMING[TOOL].replace("my-tool", "my-tool.pex")},
            ["…/tool/BUILD:11 R6 'my-tool.pex' is named like its file; write: name = 'my-tool',"],
            id="R6: the name of the file",
        ),
        pytest.param(
            {LIB: ("3rdparty/python:PyYAML", "src/main/python/acme/base/tool:my-tool")},
            [
                "…/lib/BUILD:7 R6 '…/tool:my-tool' is a binary; write '…/tool'",
                "…/lib/BUILD:7 R11 a cycle: …/lib → …/tool:my-tool → …/tool:_tool → …/lib; leave out one of these dependencies",
            ],
            id="R6: depended on by another",
        ),
        pytest.param(
            {TEST: ("acme/base/tool'", "acme/base/tool:my-tool'")},
            ["src/test/python/tool/BUILD:5 R6 '…/tool:my-tool' is a binary; write '…/tool'"],
            id="R6: depended on by a test",
        ),
        pytest.param(
            {TOOL: ("    'src/main/python/acme/base/lib',\n", "    ':my-tool',\n")},
            [
                "…/tool/BUILD:7 R6 ':my-tool' is a binary; write ':_tool'",
                "…/tool/BUILD:7 R11 a cycle: …/tool:_tool → …/tool:my-tool → …/tool:_tool; leave out one of these dependencies",
            ],
            id="R6: depended on by its own library",
        ),
        pytest.param(
            {TOOL: ("entry_point = 'acme.base.tool.cli:main'", "source = 'cli.py'")},
            [
                "…/tool/BUILD:13 R7 the binary 'my-tool' has sources of its own; write: entry_point = 'acme.base.tool.cli',"
            ],
            id="R7: source",
        ),
        pytest.param(
            {TOOL: ("entry_point = 'acme.base.tool.cli:main'", "sources = ['cli.py']")},
            [
                "…/tool/BUILD:13 R7 the binary 'my-tool' has sources of its own; write: entry_point = 'acme.base.tool.cli',"
            ],
            id="R7: sources",
        ),
        pytest.param(
            {
                TOOL: (
                    "entry_point = 'acme.base.tool.cli:main'",
                    "entry_point = 'acme.base.tool.cli:main', source = 'cli.py'",
                )
            },
            [
                "…/tool/BUILD:13 R7 the binary 'my-tool' has sources of its own; write: entry_point = 'acme.base.tool.cli',"
            ],
            id="R7: source beside an entry point",
        ),
        pytest.param(
            {TOOL: ("  entry_point = 'acme.base.tool.cli:main',\n", "")},
            [
                "…/tool/BUILD:11 R7 the binary 'my-tool' has no entry point; write: entry_point = 'acme.base.tool.my_tool',"
            ],
            id="R7: no entry point",
        ),
        pytest.param(
            {TOOL: ("tool.cli:", "tool.cly:")},
            [
                "…/tool/BUILD:13 R7 neither sources nor dependencies of the binary 'my-tool' have the module 'acme.base.tool.cly'; write: entry_point = 'acme.base.tool.cli:main',"
            ],
            id="R7: a module that is misspelt",
        ),
        pytest.param(
            {TOOL: ("acme.base.tool.cli:main", "elsewhere")},
            [
                "…/tool/BUILD:13 R7 neither sources nor dependencies of the binary 'my-tool' have the module 'elsewhere'; add it to the sources"
            ],
            id="R7: a module that is not there",
        ),
        pytest.param(
            {TOOL: ("cli:main", "cli:mein")},
            ["…/tool/BUILD:13 R7 …/tool/cli.py defines no 'mein'; write: entry_point = 'acme.base.tool.cli:main',"],
            id="R7: a function that is misspelt",
        ),
        pytest.param(
            {TOOL: ("cli:main", "cli:x")},
            ["…/tool/BUILD:13 R7 …/tool/cli.py defines no 'x'; define it there"],
            id="R7: a function that is not there",
        ),
        pytest.param(
            {TOOL: ("cli:main", "cli:main()")},
            [
                "…/tool/BUILD:13 R7 'acme.base.tool.cli:main()' is no entry point; write: entry_point = 'acme.base.tool.MODULE:FUNCTION',"
            ],
            id="R7: no entry point at all",
        ),
        pytest.param(
            {
                TOOL: (
                    "main',\n  dependencies = [\n    ':_tool',\n",
                    "main',\n  dependencies = [\n    ':_tool',\n    '3rdparty/python:requests',\n",
                )
            },
            [
                "…/tool/BUILD:14 R8 the binary 'my-tool' has other dependencies than the public library; write: dependencies = [':_tool'],"
            ],
            id="R8: more",
        ),
        pytest.param(
            {TOOL: ("main',\n  dependencies = [\n    ':_tool',\n", "main',\n  dependencies = [\n    ':tool',\n")},
            [
                "…/tool/BUILD:14 R8 the binary 'my-tool' has other dependencies than the public library; write: dependencies = [':_tool'],"
            ],
            id="R8: the public library",
        ),
        pytest.param(
            {TOOL: ("main',\n  dependencies = [\n    ':_tool',\n  ],\n", "main',\n")},
            [
                "…/tool/BUILD:11 R8 the binary 'my-tool' has other dependencies than the public library; write: dependencies = [':_tool'],",
                "…/tool/BUILD:13 R7 neither sources nor dependencies of the binary 'my-tool' have the module 'acme.base.tool.cli'; add it to the sources",
            ],
            id="R8: nothing",
        ),
        pytest.param(
            {TOOL: (".with_binaries({\n    'my-tool': ':my-tool',\n  })", "")},
            [
                "…/tool/BUILD:24 R9 the binary 'my-tool' is no console script; write: .with_binaries({'my-tool': ':my-tool'})"
            ],
            id="R9: none exported",
        ),
        pytest.param(
            {
                TOOL: CONFORMING[TOOL]
                + "python_binary(name = 'two', entry_point = 'acme.base.tool.cli', dependencies = [':_tool'])\n"
            },
            [
                "…/tool/BUILD:24 R9 the binary 'two' is no console script; write: .with_binaries({'my-tool': ':my-tool', 'two': ':two'})"
            ],
            id="R9: one not exported",
        ),
        pytest.param(
            {
                TOOL: CONFORMING[TOOL]
                .replace("my-tool", "tool-it")
                .replace("{\n    'tool-it': ':tool-it',\n  }", "tool_it = ':tool-it'")
            },
            [
                "…/tool/BUILD:27 R6 the console script 'tool_it' runs the binary 'tool-it'; write: 'tool-it': ':tool-it'",
                "…/tool/BUILD:27 R9 'tool_it' is a keyword, which can hold no dash; write the dict form: .with_binaries({'tool-it': ':tool-it'})",
            ],
            id="R9: a keyword for a dash",
        ),
        pytest.param(
            {
                TOOL: CONFORMING[TOOL]
                .replace("my-tool", "my_tool")
                .replace("{\n    'my_tool': ':my_tool',\n  }", "my_tool = ':my_tool'")
            },
            [
                "…/tool/BUILD:27 R9 'my_tool' is a keyword, which can hold no dash; write the dict form: .with_binaries({'my_tool': ':my_tool'})"
            ],
            id="R9: a keyword",
        ),
        pytest.param(
            {
                TOOL: CONFORMING[TOOL]
                .replace("my-tool", "one")
                .replace("{\n    'one': ':one',\n  }", "one = ':one', two = ':two'")
                + "python_binary(name = 'two', entry_point = 'acme.base.tool.cli', dependencies = [':_tool'])\n"
            },
            [
                "…/tool/BUILD:27 R9 'one' is a keyword, which can hold no dash; write the dict form: .with_binaries({'one': ':one', 'two': ':two'})"
            ],
            id="R9: two keywords, said once",
        ),
        pytest.param(
            {TOOL: ("'my-tool': ':my-tool',", "'my-tool': ':my-tool', 'x': ':_tool'")},
            ["…/tool/BUILD:28 R9 ':_tool' is no binary of this file; write: .with_binaries({'my-tool': ':my-tool'})"],
            id="R9: no binary",
        ),
        pytest.param(
            {TOOL: ("'my-tool': ':my-tool',", "'my-tool': ':my-tool', 'x': 'src/main/python/acme/base/lib:my-tool'")},
            [
                "…/tool/BUILD:28 R9 '…/lib:my-tool' is no binary of this file; write: .with_binaries({'my-tool': ':my-tool'})"
            ],
            id="R9: a binary of another file",
        ),
        pytest.param(
            {LIB: ("  ),\n)", "  ).with_binaries({'x': ':x'}),\n)")},
            ["…/lib/BUILD:12 R9 ':x' is no binary of this file; write: setup_py(...) without .with_binaries"],
            id="R9: no binaries at all",
        ),
        pytest.param(
            {TOOL: ("  name = 'tool',\n", "  name = 'tool',\n  sources = rglobs('*.py'),\n")},
            ["…/tool/BUILD:21 R10 beside binaries '_tool' holds the sources; leave these out"],
            id="R10: public sources",
        ),
        pytest.param(
            {
                TOOL: ("  name = 'tool',\n", "  name = 'tool',\n  resources = globs('*.css'),\n"),
                f"{BASE}/tool/x.css": "",
            },
            ["…/tool/BUILD:21 R10 beside binaries '_tool' holds the resources; leave these out"],
            id="R10: public resources",
        ),
        pytest.param(
            {
                TOOL: (
                    "  name = 'tool',\n  dependencies = [\n    ':_tool',\n",
                    "  name = 'tool',\n  dependencies = [\n    ':_tool',\n    '3rdparty/python:requests',\n",
                )
            },
            [
                "…/tool/BUILD:21 R10 beside binaries the public library depends on '_tool' alone; write: dependencies = [':_tool'],"
            ],
            id="R10: more public dependencies",
        ),
        pytest.param(
            {
                LIB: CONFORMING[LIB].replace(
                    "  ),\n)",
                    "  ).with_binaries({'lib': ':run'}),\n)\npython_binary(name = 'run', entry_point = 'acme.base.lib', dependencies = [':lib'])",
                )
            },
            [
                "…/lib/BUILD:5 R10 beside binaries '_lib' holds the sources; leave these out",
                "…/lib/BUILD:6 R10 beside binaries the public library depends on '_lib' alone; write: dependencies = [':_lib'],",
                "…/lib/BUILD:12 R6 the console script 'lib' runs the binary 'run'; write: 'run': ':run'",
                "…/lib/BUILD:14 R8 the binary 'run' has other dependencies than the public library; write: dependencies = [':_lib'],",
                "…/lib/BUILD:14 R10 there are binaries, and no private library for them; write: python_library(name = '_lib', sources = rglobs('*.py'), dependencies = [...])",
            ],
            id="R10: no private library",
        ),
        pytest.param(
            {TOOL: ("  name = '_tool',\n  sources = rglobs('*.py'),\n", "  name = '_tool',\n")},
            [
                "…/tool/BUILD:3 R10 '_tool' has no sources; write: sources = rglobs('*.py'),",
                "…/tool/BUILD:12 R7 neither sources nor dependencies of the binary 'my-tool' have the module 'acme.base.tool.cli'; write: entry_point = 'acme.base.lib:main',",
                "…/tool/BUILD:18 R3 the distribution holds no file; write: sources = rglobs('*.py'),",
            ],
            id="R10: no private sources",
        ),
        pytest.param(
            {TOOL: ("python_library(\n  name = '_tool'", "resources(\n  name = '_tool'")},
            [
                "…/tool/BUILD:3 R10 there are binaries, and no private library for them; write: python_library(name = '_tool', sources = rglobs('*.py'), dependencies = [...])"
            ],
            id="R10: a private target that is no library",
        ),
        pytest.param(
            {TOOL: "python_binary(name = 'run', entry_point = 'acme.base.lib', dependencies = [':_tool'])", TEST: None},
            [
                "…/tool/BUILD:1 R2 no target provides a distribution; write in the python_library 'tool': provides = setup_py(name = 'acme.base.tool', version = open(os.path.join(get_buildroot(), '.version')).read().strip().upper()),",
                "…/tool/BUILD:1 R4 there is no target '_tool' in this file; add it, or leave this out",
                "…/tool/BUILD:1 R7 neither sources nor dependencies of the binary 'run' have the module 'acme.base.lib'; add it to the sources",
                "…/tool/BUILD:1 R9 the binary 'run' is no console script; write: .with_binaries({'run': ':run'})",
                "…/tool/BUILD:1 R10 there are binaries, and no private library for them; write: python_library(name = '_tool', sources = rglobs('*.py'), dependencies = [...])",
            ],
            id="R10: a binary alone",
        ),
        pytest.param(
            {LIB: ("3rdparty/python:PyYAML", "src/main/python/acme/base/tool")},
            ["…/lib/BUILD:7 R11 a cycle: …/lib → …/tool → …/tool:_tool → …/lib; leave out one of these dependencies"],
            id="R11: a cycle",
        ),
        pytest.param(
            {LIB: ("3rdparty/python:PyYAML", ":lib")},
            ["…/lib/BUILD:7 R11 a cycle: …/lib → …/lib; leave out one of these dependencies"],
            id="R11: itself",
        ),
        pytest.param(
            {
                TOOL: ("acme/base/lib'", "acme/base/lib:_ui'"),
                LIB: CONFORMING[LIB].replace("    '3rd", "    ':_ui',\n    '3rd")
                + "resources(name = '_ui', sources = ['__init__.py'])",
            },
            [
                "…/tool/BUILD:7 R4 '…/lib:_ui' is private to its BUILD file; write '…/lib'",
                "…/tool/BUILD:19 R11 …/lib/__init__.py: is in the distribution of '…/lib', too; keep it in one, and depend on that",
            ],
            id="R11: copied into two",
        ),
        pytest.param(
            {
                f"{BASE}/lib/deep/BUILD": "python_library(name = 'deep', sources = rglobs('*.py'), provides = setup_py(name = 'x', version = '1'))",
                f"{BASE}/lib/deep/x.py": "",
                f"{BASE}/lib/deep/y.py": "",
            },
            [
                "…/lib/deep/BUILD:1 R1 is on level 4 below the root, components are on 3; move its targets to …/lib/BUILD",
                "…/lib/deep/BUILD:1 R11 …/lib/deep/x.py and 1 more: is in the distribution of '…/lib', too; keep it in one, and depend on that",
            ],
            id="R11: nested distributions",
        ),
        pytest.param(
            {
                f"{ROOT}/acme/base_lib/x/BUILD": CONFORMING[LIB]
                .replace("acme.base.lib", "acme.base_lib.x")
                .replace("'lib'", "'x'"),
                f"{ROOT}/acme/base_lib/x/__init__.py": "",
                f"{ROOT}/acme/base/lib_x/BUILD": CONFORMING[LIB]
                .replace("acme.base.lib", "acme.base.lib_x")
                .replace("'lib'", "'lib_x'"),
                f"{ROOT}/acme/base/lib_x/__init__.py": "",
            },
            [
                "…_lib/x/BUILD:10 R11 'acme.base_lib.x' is the distribution of '…/lib_x', too, as pip reads names; rename one of them"
            ],
            id="R11: one name",
        ),
    ],
)
def test_what_breaks_a_convention_is_found(changes: Mapping[str, Change], findings: list[str]) -> None:
    assert found(changes) == findings


def test_a_link_into_another_component_is_a_file_of_both() -> None:
    link = f"{BASE}/lib/link.py"
    assert found({link: ""}, links={link: f"{BASE}/tool/cli.py"}) == [
        "…/tool/BUILD:19 R11 …/tool/cli.py: is in the distribution of '…/lib', too; keep it in one, and depend on that"
    ]


def test_the_root_may_be_the_build_root() -> None:
    files = {path.removeprefix(f"{ROOT}/"): text.replace(f"{ROOT}/", "") for path, text in CONFORMING.items()}
    del files[TEST], files["src/thrift/BUILD"]
    tree = tree_of(files, root=".")
    assert lint(tree) == ()
    assert [tree.layout.component(build.directory) for build in tree.builds] == ["acme.base.lib", "acme.base.tool"]
    files["BUILD"] = "resources(name = '_all', sources = rglobs('BUILD'))"
    assert [str(finding) for finding in lint(tree_of(files, root="."))] == [
        "BUILD:1 R1 is on level 0 below the root, components are on 3; move its targets to folders on level 3"
    ]
    assert tree_of(files, root=".").files[Address(".", "_all")] == ("BUILD",)


@pytest.mark.parametrize(
    "module",
    [
        "main = 1",
        "main: int = 1",
        "from x import main",
        "from x import y as main",
        "import main.x",
        "async def main(): ...",
        "class main: ...",
        "try:\n    from x import main\nexcept ImportError:\n    pass",
        "if x:\n    def main(): ...",
        "for main in (): ...",
        "(a, main) = 1, 2",
        "from x import *",
        "def __getattr__(name): ...",
        "def (:",
    ],
)
def test_a_module_may_define_its_entry_point_in_any_way(module: str) -> None:
    assert found({f"{BASE}/tool/cli.py": module}) == []


@pytest.mark.parametrize("module", ["def f():\n    main = 1", "x = lambda main: main", "print(main)", "import x.main"])
def test_what_only_looks_like_a_definition_is_none(module: str) -> None:
    assert [line.partition("; ")[0] for line in found({f"{BASE}/tool/cli.py": module})] == [
        "…/tool/BUILD:13 R7 …/tool/cli.py defines no 'main'"
    ]


def test_what_outside_build_files_depend_on_among_themselves_is_theirs() -> None:
    assert found({TEST: ("'src/main/python/acme/base/tool'", "':gone', 'src/test/python/tool:tool'")}) == [
        "src/test/python/tool/BUILD:5 R11 a cycle: src/test/python/tool → src/test/python/tool; leave out one of these dependencies"
    ]


def test_an_entry_point_may_be_of_what_is_depended_on() -> None:
    assert found({TOOL: ("acme.base.tool.cli:main", "acme.base.lib")}) == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("'3rd", "'//3rd"), id="an absolute address"),
        pytest.param(("rglobs('*.py'),", "rglobs('*.py'),\n  tags = {'a': [1, None, 0.5]},"), id="unknown arguments"),
        pytest.param(("3rdparty/python:PyYAML", "src/thrift"), id="a folder outside the root"),
    ],
)
def test_what_means_the_same_is_clean(change: tuple[str, str]) -> None:
    assert found({LIB: change}) == []


# ── Waivers ───────────────────────────────────────────────────────────────────────────────────────────────────────────

GLOBS = Finding(file="BUILD", line=5, rule="R3", component="a.b.c", message="globs")


def waiver(component: str, rule: str, line: int = 9) -> Waiver:
    return Waiver(component=component, rule=rule, reason="history", line=line)


def test_a_waiver_lets_the_findings_of_one_rule_in_one_component_pass() -> None:
    again = Finding(file="BUILD", line=7, rule="R3", component="a.b.c", message="globs")
    assert judged([GLOBS, again], [waiver("a.b.c", "R3")], "m.yml") == Report(
        findings=(), waived=(Waived(finding=GLOBS, reason="history"), Waived(finding=again, reason="history"))
    )


@pytest.mark.parametrize(("component", "rule"), [("a.b.d", "R3"), ("a.b.c", "R4")])
def test_a_waiver_that_lets_nothing_pass_is_a_finding(component: str, rule: str) -> None:
    report = judged([GLOBS], [waiver(component, rule)], "m.yml")
    assert [str(each) for each in report.findings] == [
        "BUILD:5 R3 globs",
        f"m.yml:9 waiver {component} does not break {rule}; leave this waiver out",
    ]
    assert report.waived == ()


def test_a_waiver_of_r1_waives_no_rule_whose_number_begins_so() -> None:
    found = Finding(file="BUILD", line=5, rule="R11", component="a.b.c", message="a cycle")
    report = judged([found], [waiver("a.b.c", "R1")], "m.yml")
    assert [each.rule for each in report.findings] == ["R11", "waiver"]
    assert report.waived == ()


def test_findings_are_in_the_order_of_file_line_and_rule() -> None:
    order = [("a", 9, "R11"), ("a", 10, "R2"), ("a", 10, "R10"), ("b", 1, "R1")]
    made = [Finding(file=file, line=line, rule=rule, component="", message="") for file, line, rule in order]
    assert judged(reversed(made), [], "m.yml").findings == tuple(made)
