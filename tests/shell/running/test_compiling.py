"""Compiling cells: what is shown, what may await, and that future imports last."""

from __future__ import annotations

import ast
import builtins
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.compilerop import CachingCompiler

from async_kernel.shell.running.compiling import await_magics, compile_nodes, compile_value
from async_kernel.shell.running.namespace import DISPLAY_NAME

if TYPE_CHECKING:
    from types import CodeType

AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def compiled(source: str, interactivity: str = "last_expr", **options: Any) -> CodeType:
    return compile_nodes(ast.parse(source).body, "<cell>", interactivity, CachingCompiler(), **options)


def shown(source: str, interactivity: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    values: list[Any] = []
    monkeypatch.setitem(builtins.__dict__, DISPLAY_NAME, values.append)
    exec(compiled(source, interactivity), {})
    return values


@pytest.mark.parametrize(
    ("interactivity", "expected"),
    [("none", []), ("last_expr", [4]), ("last", [4]), ("all", [1, 2, None, 4]), ("last_expr_or_assign", [4])],
)
def test_what_is_shown(interactivity: str, expected: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    source = "1\nfor i in [2]: i\nclass A: 3\n(lambda: None)()\n4"
    assert shown(source, interactivity, monkeypatch) == expected


@pytest.mark.parametrize(
    ("source", "expected"), [("x = 5", [5]), ("x = y = 5", []), ("a, b = 1, 2", []), ("x: int = 6", [6])]
)
def test_a_last_assignment_is_shown(source: str, expected: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(source, "last_expr_or_assign", monkeypatch) == expected


def test_code_is_a_coroutine_only_if_it_awaits() -> None:
    flags = [compiled(source).co_flags & inspect.CO_COROUTINE for source in ("1", "await x", "async def f(): await x")]
    assert [bool(flag) for flag in flags] == [False, True, False]


def test_await_can_be_refused() -> None:
    with pytest.raises(SyntaxError):
        compiled("await x", awaits=False)


def test_future_imports_last() -> None:
    compiler = CachingCompiler()
    compile_nodes(ast.parse("from __future__ import annotations").body, "<1>", "none", compiler)
    namespace: dict[str, Any] = {}
    exec(compile_nodes(ast.parse("def f(x: undefined): pass").body, "<2>", "none", compiler), namespace)
    assert namespace["f"].__annotations__ == {"x": "undefined"}
    assert not compiler.flags & AWAIT


def test_an_unknown_interactivity_is_refused() -> None:
    with pytest.raises(ValueError, match="sometimes"):
        compiled("1", "sometimes")


def test_the_value_of_code_is_apart_from_its_statements() -> None:
    codes = compile_value(ast.parse("x = 2\nx + 1"), "<cell>", CachingCompiler())
    namespace: dict[str, Any] = {}
    assert [eval(code, namespace) for code in codes] == [None, 3]


@pytest.mark.parametrize(
    ("source", "awaits"),
    [
        ("get_ipython().run_line_magic('time', 'await x')", True),
        ("y = get_ipython().run_line_magic('time', 'await x')", True),
        ("if 1:\n    get_ipython().run_cell_magic('capture', '', 'await x')", True),
        ("get_ipython().run_line_magic('time', 'x')", False),
        ("get_ipython().run_line_magic('pwd', 'await x')", False),
        ("def f(): get_ipython().run_line_magic('time', 'await x')", False),
    ],
)
def test_magics_that_await_are_awaited_where_that_is_possible(source: str, awaits: bool) -> None:
    tree = await_magics(ast.parse(source))
    assert any(isinstance(node, ast.Await) for node in ast.walk(tree)) is awaits
    compile(tree, "<cell>", "exec", flags=AWAIT)
