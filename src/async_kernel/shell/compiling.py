"""Compiling the statements of a cell.

A cell becomes at most two code objects: its statements, and the expression at its end whose value is shown. Where IPython's
``ast_node_interactivity`` asks to show expressions inside of blocks too, these are rewritten to calls of
a builtin that hands the value to the shell. Both may await.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, cast

from IPython.core.compilerop import CachingCompiler

from async_kernel.shell.namespace import DISPLAY_NAME

if TYPE_CHECKING:
    from types import CodeType

__all__ = ["CellCompiler", "compile_nodes"]


class CellCompiler(CachingCompiler):
    """IPython's compiler, with top-level await always allowed: its flags are shared by cells in several threads."""

    def __init__(self) -> None:
        super().__init__()
        self.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    def reset_compiler_flags(self) -> None:
        """Forget the ``__future__`` imports of the cells so far."""
        super().reset_compiler_flags()
        self.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def compile_nodes(
    nodes: list[ast.stmt], filename: str, interactivity: str, compiler: Any, *, awaits: bool = True
) -> list[tuple[CodeType, bool]]:
    """Compile statements to code objects, each with whether its value is to be shown.

    Args:
        interactivity: which values are shown: ``last_expr``, ``last_expr_or_assign``, ``last``, ``all`` or ``none``, see
            ``InteractiveShell.ast_node_interactivity``.
        awaits: whether top-level await is allowed.

    Raises:
        ValueError: for another interactivity.
        SyntaxError: for what parses but is no valid code, such as a ``return`` outside a function.
    """
    nodes = list(nodes)
    shown: ast.expr | None = None
    if interactivity == "last_expr_or_assign" and nodes:
        name = _assigned_name(nodes[-1])
        if name is not None:
            shown = ast.copy_location(ast.Name(name, ast.Load()), nodes[-1])
    if interactivity in ("last_expr", "last_expr_or_assign", "last") and nodes and isinstance(nodes[-1], ast.Expr):
        shown = cast("ast.Expr", nodes.pop()).value
    elif interactivity == "last" and nodes:
        nodes[-1] = _ShowInBlocks().visit(nodes[-1])
    elif interactivity == "all":
        nodes = [_ShowInBlocks().visit(node) for node in nodes]
    elif interactivity not in ("last_expr", "last_expr_or_assign", "last", "none"):
        msg = f"ast_node_interactivity is {interactivity!r}; it must be all, last, last_expr, last_expr_or_assign or none"
        raise ValueError(msg)
    steps: list[tuple[CodeType, bool]] = []
    before = getattr(compiler, "flags", 0)
    if isinstance(compiler, CellCompiler) and not awaits:
        compiler.flags &= ~ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        if nodes:
            steps.append((compiler(ast.Module(nodes, []), filename, "exec"), False))
        if shown is not None:
            steps.append((compiler(ast.Expression(shown), filename, "eval"), True))
    finally:
        if not awaits and before:
            compiler.flags |= before
    return steps


def _assigned_name(node: ast.stmt) -> str | None:
    """The one name that the statement assigns to, if it does that."""
    target: ast.expr | None = None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, ast.AugAssign | ast.AnnAssign):
        target = node.target
    return target.id if isinstance(target, ast.Name) else None


class _ShowInBlocks(ast.NodeTransformer):
    """Makes every expression statement show its value, but for those in functions and classes."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:  # noqa: N802 -- the name is ast's
        hook = ast.copy_location(ast.Name(DISPLAY_NAME, ast.Load()), node)
        return ast.copy_location(ast.Expr(ast.copy_location(ast.Call(hook, [node.value], []), node)), node)

    def _leave(self, node: ast.AST) -> ast.AST:
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = _leave  # noqa: N815 -- as above
