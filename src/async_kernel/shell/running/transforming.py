"""From the text of a cell to Python: IPython's transformations, and when they need not be made.

``%magic``, ``!command``, ``name?`` and pasted prompts are not Python, so text that parses as Python has nothing to
transform. Trying that first saves a third of what a small cell costs, since the tree is needed anyway and IPython's
transformations tokenize. Only a line that begins with an expression can be a magic or macro called by its bare
name; that is asked of IPython's prefilter. If anybody has added a transformation of their own, or a shell has its own
``transform_cell``, all are made.
"""

from __future__ import annotations

import ast
from typing import Any, cast

from async_kernel.protocol.tags import MODE_LINE
from async_kernel.shell.ipython import InteractiveShell

__all__ = ["PlainPython", "without_mode_line"]

_PROMPTS = ("In [", "[In", ">>>", "...")  # pasted prompts: some are Python, too


def without_mode_line(lines: list[str]) -> list[str]:
    """The lines without that line: a cell magic is one only in the first line."""
    return lines[1:] if len(lines) > 1 and MODE_LINE.match(lines[0] + lines[1]) else lines


class PlainPython:
    """Recognises code that IPython would leave as it is.

    Args:
        shell: its transformations, as they are now, are the ones that are known.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._known = self._transformations()

    def _transformations(self) -> list[list[Any]]:
        shell = self._shell
        manager = shell.input_transformer_manager
        prefilter = shell.prefilter_manager
        return [
            [type(manager)],
            list(manager.cleanup_transforms),
            list(manager.line_transforms),
            list(manager.token_transformers),
            list(prefilter.checkers),
            list(prefilter.transformers),
            list(shell.input_transformers_post),
        ]

    def parse(self, code: str, compiler: Any) -> tuple[str, ast.Module] | None:
        """The source and its tree, if the code is Python as it stands; None if IPython has to look at it."""
        transform = getattr(self._shell.transform_cell, "__func__", None)
        ipython: Any = InteractiveShell
        if transform is not ipython.transform_cell or self._transformations() != self._known:
            return None
        if code[0].isspace() or code.startswith(_PROMPTS):
            return None
        source = code if code.endswith("\n") else f"{code}\n"
        try:
            tree = cast("ast.Module", compiler.ast_parse(source, filename="<cell>"))
        except Exception:  # noqa: BLE001 -- whatever is wrong is found again, and shown, on the ordinary way
            return None
        if not tree.body:
            return source, tree
        if isinstance(tree.body[0], ast.Expr) and "\n" not in source[:-1]:
            prefiltered = self._shell.prefilter_manager.prefilter_lines(source) + "\n"
            if prefiltered != source:
                return None
        return source, tree
