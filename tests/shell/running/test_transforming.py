"""Python is recognised, everything else is left to IPython."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.compilerop import CachingCompiler

from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

PYTHON = [
    "pass",
    "x = 1",
    "1 + 1",
    "await x",
    "async with a as b:\n    pass",
    "# only a comment",
    "x = '''\n>>> y\n%time\n'''",
    "print('a?')",
    "x = a %b",
    "def f():\n    return 1\n\n\nf()",
    "match x:\n    case 1: pass",
    "pwd = 5",
]
OTHER = [
    "%time 1",
    "!ls",
    "x = !ls",
    "x = %pwd",
    "len?",
    "?len",
    "%%bash\nls",
    ">>> x = 1",
    "In [1]: x = 1",
    "  x = 1\n  y = 2",
    "\nx = 1",
    "pwd",
    "exit",
    "/f 1",
    "def f(:",
    "... ",
]


def found(session: Any, code: str) -> Any:
    return session.shell._plain.parse(code, CachingCompiler())


@pytest.mark.parametrize("code", PYTHON)
async def test_python_is_taken_as_it_is_and_as_ipython_would(tmp_path: Path, code: str) -> None:
    async with ip_session(tmp_path) as session:
        source, tree = found(session, code)
        assert source == code + "\n"
        assert ast.dump(tree) == ast.dump(ast.parse(code))
        if ">>>" not in code:  # IPython looks for pasted prompts in strings, too
            assert session.shell.transform_cell(code) == source


@pytest.mark.parametrize("code", OTHER)
async def test_what_is_not_python_is_left_to_ipython(tmp_path: Path, code: str) -> None:
    async with ip_session(tmp_path) as session:
        assert found(session, code) is None


@pytest.mark.parametrize(
    "change",
    [
        "shell.input_transformers_post.append(list)",
        "shell.input_transformers_cleanup.append(list)",
        "shell.input_transformer_manager.line_transforms.append(list)",
        "shell.prefilter_manager.register_transformer(other)",
        "shell.prefilter_manager.register_checker(other)",
    ],
)
async def test_with_transformations_of_the_user_all_code_is_left_to_ipython(tmp_path: Path, change: str) -> None:
    async with ip_session(tmp_path) as session:
        assert found(session, "x = 1") is not None
        exec(change, {"shell": session.shell, "other": SimpleNamespace(priority=1)})
        assert found(session, "x = 1") is None


async def test_a_macro_is_called_by_its_name(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("print('ran')")
        await session.run("%macro -q again 1")
        assert (await session.run("again")).text() == "ran\n"


async def test_autocall_works_when_it_is_on(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("def f(x): return x * 2")
        await session.run("%autocall 1")
        ran = await session.run("f 21")
        assert (ran.value, ran.text()) == ("42", "------> f(21)\n")
