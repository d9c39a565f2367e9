"""Compiling the statements of a cell.

A cell becomes one code object. The expression at its end, and wherever else IPython's ``ast_node_interactivity``
asks to show values, is rewritten to a call of a builtin that hands the value to the shell: so a debugger steps
through the cell as it is written, and nothing of ``sys`` has to be replaced. All of it may await.

Magics are called synchronously in the source that IPython makes of them. Some return an awaitable: those of
:data:`AWAITED` always, those of :data:`AWAITING` when their own code awaits (``%time await x``), those that run a
program, and perhaps the user's own. Where the cell can wait, their calls are rewritten to do so, and
those of system commands too.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, cast

from IPython.core.compilerop import CachingCompiler, PyCF_MASK

from async_kernel.shell.running.cell_files import cell_file, note_number
from async_kernel.shell.running.namespace import DISPLAY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

__all__ = [
    "AWAITED_CALLS",
    "AWAITING",
    "CellCompiler",
    "await_magics",
    "compile_nodes",
    "compile_user",
    "compile_value",
]

AWAITING = frozenset({"capture", "time", "timeit"})
"""The magics that return an awaitable when the code that they are given awaits."""
AWAITED = frozenset({"asyncio", "deadline", "tasks", "thread", "timeout", "trio"})
"""The magics that return an awaitable."""


class CellCompiler(CachingCompiler):
    """IPython's compiler, which calls cells what a debugger's client expects."""

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        """The file name of a cell."""
        name = cell_file(raw_code)
        note_number(name, number)
        return name


def compile_user(tree: ast.AST, filename: str, mode: str, compiler: Any, *, awaits: bool = True) -> CodeType:
    """Compile a tree with the ``__future__`` imports of the cells before it; those in it are noted.

    Args:
        tree: of the mode, as :mod:`ast` has them.
        filename: what tracebacks call it.
        mode: ``exec`` or ``eval``.
        compiler: IPython's, which keeps the flags; the builtin ``compile`` has none.
        awaits: whether top-level await is allowed.

    Raises:
        SyntaxError: for what parses but is no valid code, such as a ``return`` outside a function.
    """
    flags: int = getattr(compiler, "flags", 0)
    allowed = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if awaits else 0
    code = cast("CodeType", compile(cast("Any", tree), filename, mode, flags=flags | allowed, dont_inherit=True))
    if code.co_flags & PyCF_MASK & ~flags and hasattr(compiler, "flags"):
        compiler.flags |= code.co_flags & PyCF_MASK
    return code


def compile_nodes(
    nodes: list[ast.stmt], filename: str, interactivity: str, compiler: Any, *, awaits: bool = True
) -> CodeType:
    """Compile statements that show values.

    Args:
        nodes: the statements.
        filename: what tracebacks call them.
        interactivity: which values are shown: ``last_expr``, ``last_expr_or_assign``, ``last``, ``all`` or ``none``,
            see ``InteractiveShell.ast_node_interactivity``.
        compiler: as for :func:`compile_user`.
        awaits: whether top-level await is allowed.

    Raises:
        ValueError: for another interactivity.
        SyntaxError: as :func:`compile_user`.
    """
    nodes = list(nodes)
    last = nodes[-1] if nodes else None
    if interactivity == "last_expr_or_assign" and last is not None and (name := _assigned_name(last)) is not None:
        last = ast.copy_location(ast.Expr(ast.copy_location(ast.Name(name, ast.Load()), last)), last)
        nodes.append(last)
    if interactivity == "all":
        nodes = [_ShowValues().visit(node) for node in nodes]
    elif interactivity == "last" or (
        interactivity in ("last_expr", "last_expr_or_assign") and isinstance(last, ast.Expr)
    ):
        nodes[-1:] = [_ShowValues().visit(node) for node in nodes[-1:]]
    elif interactivity not in ("last_expr", "last_expr_or_assign", "none"):
        msg = (
            f"ast_node_interactivity is {interactivity!r}; it must be all, last, last_expr, last_expr_or_assign or none"
        )
        raise ValueError(msg)
    return compile_user(ast.Module(nodes, []), filename, "exec", compiler, awaits=awaits)


def compile_value(tree: ast.Module, filename: str, compiler: Any) -> list[CodeType]:
    """Compile code whose value is wanted: its statements, if any, and the expression at its end, if there is one."""
    nodes = list(tree.body)
    shown = cast("ast.Expr", nodes.pop()).value if nodes and isinstance(nodes[-1], ast.Expr) else None
    codes = [compile_user(ast.Module(nodes, []), filename, "exec", compiler)] if nodes else []
    if shown is not None:
        codes.append(compile_user(ast.Expression(shown), filename, "eval", compiler))
    return codes


def await_magics(tree: ast.Module, is_async: Callable[[str, str], bool] = lambda _kind, _name: False) -> ast.Module:
    """Rewrite the calls of magics that may await, so that the cell waits for them.

    Args:
        tree: the cell.
        is_async: whether the magic of a kind (line, cell) and name may return an awaitable.
    """
    return cast("ast.Module", _AwaitMagics(is_async).visit(tree))


def _assigned_name(node: ast.stmt) -> str | None:
    """The one name that the statement assigns to, if it does that."""
    target: ast.expr | None = None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        target = node.target
    return target.id if isinstance(target, ast.Name) else None


class _AtTopLevel(ast.NodeTransformer):
    """Visits what runs as part of the cell itself: not the bodies of functions and classes."""

    def _leave(self, node: ast.AST) -> ast.AST:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _leave  # noqa: N815 -- ast's names


class _ShowValues(_AtTopLevel):
    """Makes every expression statement show its value."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        hook = ast.copy_location(ast.Name(DISPLAY_NAME, ast.Load()), node)
        return ast.copy_location(ast.Expr(ast.copy_location(ast.Call(hook, [node.value], []), node)), node)


_MAGIC_CALLS = {"run_line_magic": "line", "run_cell_magic": "cell"}
_COMMAND_CALLS = frozenset({"system", "getoutput"})
AWAITED_CALLS = tuple(f"get_ipython().{name}(" for name in (*_MAGIC_CALLS, *_COMMAND_CALLS))
"""What source has to contain for :func:`await_magics` to find something."""


class _AwaitMagics(_AtTopLevel):
    """Turns ``ip.run_line_magic(…)`` into ``await ip.wait_for_magic(ip.run_line_magic_soon(…))``, on get_ipython().

    ``get_ipython().system(…)``, which is what ``!command`` becomes, is awaited in the same way.
    """

    def __init__(self, is_async: Callable[[str, str], bool]) -> None:
        self._is_async = is_async

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if not _is_command(node) and not self._awaits(node):
            return self.generic_visit(node)
        function = cast("ast.Attribute", node.func)
        function.attr = f"{function.attr}_soon"
        wait = ast.Attribute(function.value, "wait_for_magic", ast.Load())
        return ast.fix_missing_locations(ast.copy_location(ast.Await(ast.Call(wait, [node], [])), node))

    def _awaits(self, node: ast.Call) -> bool:
        function = node.func
        if not isinstance(function, ast.Attribute) or function.attr not in _MAGIC_CALLS:
            return False
        words = [str(each.value) for each in node.args if isinstance(each, ast.Constant)]
        if len(words) < 2 or len(words) != len(node.args):
            return False
        name, code = words[0], words[1:]
        if name in AWAITED or self._is_async(_MAGIC_CALLS[function.attr], name):
            return True
        return name in AWAITING and any(word in text for text in code for word in ("await", "async"))


def _is_command(node: ast.Call) -> bool:
    """Whether it is the call that IPython makes of ``!command`` or ``x = !command``."""
    function = node.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr in _COMMAND_CALLS
        and isinstance(function.value, ast.Call)
        and isinstance(function.value.func, ast.Name)
        and function.value.func.id == "get_ipython"
        and not node.keywords
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Constant)
    )
