"""Code whose value is wanted: what magics such as ``%time`` and ``%%thread`` run.

Nothing is displayed and no error is shown: both are for whoever asked, which is the cell that the magic stands in.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, cast

from async_kernel.shell.running.compiling import await_magics, compile_value

if TYPE_CHECKING:
    import ast
    from types import CodeType

    from async_kernel.shell.ipshell import IPShell

__all__ = ["compiled", "evaluate", "value_of"]


def compiled(shell: IPShell[Any], code: str) -> list[CodeType]:
    """Compile code as a cell: with magics, and IPython's transformations of text and tree.

    Raises:
        SyntaxError: if it is no Python.
    """
    source = shell.transform_cell(code)
    name = shell.compile.cache(source, shell.displayhook.prompt_count, raw_code=code)
    tree = await_magics(shell.compile.ast_parse(source, name), shell.is_async_magic)
    return compile_value(cast("ast.Module", shell.transform_ast(tree)), name, shell.compile)


async def evaluate(shell: IPShell[Any], codes: list[CodeType]) -> Any:
    """Run what :func:`compiled` made, in the user's namespace; the value of the last expression."""
    value: Any = None
    for code in codes:
        value = eval(code, shell.user_global_ns, shell.user_ns)  # noqa: S307 -- the user's code
        if code.co_flags & inspect.CO_COROUTINE:
            value = await value
    return value


async def value_of(shell: IPShell[Any], code: str) -> Any:
    """Run code; the value of its last expression."""
    return await evaluate(shell, compiled(shell, code))
