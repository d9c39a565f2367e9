"""Colours for the source lines of tracebacks, made with tools that are made once.

stack_data, which IPython uses, defines a new lexer class for every frame and pygments then compiles its whole table
of rules again; IPython makes a new formatter for every error. Together that took two thirds of the time of an error
(measured: 12 ms, and 5 ms with this). Here are one lexer class and a formatter for each theme; what they give is the
same text.

Used by :mod:`async_kernel.shell.showing.traceback` only. pygments is imported with the first error.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["formatter_for", "prepare_lines"]


@cache
def formatter_for(theme_name: str, highlight: str) -> Any:
    """The pygments formatter for tracebacks in a theme of IPython.

    Args:
        theme_name: one of IPython's ``theme_table``.
        highlight: the pygments style of the code that was being run, where the theme does not say.
    """
    import stack_data  # noqa: PLC0415
    from IPython.utils.PyColorize import theme_table  # noqa: PLC0415 -- only for errors
    from pygments.formatters.terminal256 import Terminal256Formatter  # noqa: PLC0415
    from pygments.token import Token  # noqa: PLC0415

    theme: Any = theme_table[theme_name]
    style = cast("Any", stack_data).style_with_executing_node(
        theme.as_pygments_style(), theme.extra_style.get(Token.TbHighlight, highlight)
    )
    return cast("Any", Terminal256Formatter(style=style))


@cache
def _lexer_class() -> Any:
    from pygments.lexers.python import PythonLexer  # noqa: PLC0415 -- only for errors

    class NodeLexer(PythonLexer):
        """Python with the token type ``ExecutingNode`` for what lies between two places of the text."""

        def __init__(self, start: int, end: int) -> None:
            super().__init__(stripnl=False)  # pyright: ignore[reportUnknownMemberType]
            self._start, self._end = start, end

        def get_tokens(self, text: str) -> Iterator[tuple[Any, str]]:  # pyright: ignore[reportIncompatibleMethodOverride]
            at = 0
            for kind, value in super().get_tokens(text):
                inside = self._start <= at < self._end
                at += len(value)
                yield (kind.ExecutingNode if inside else kind), value

    return NodeLexer


def prepare_lines(frame: Any, formatter: Any) -> None:
    """Colour the lines of a frame of stack_data, which then finds its own work done.

    Where that cannot be done here, stack_data does it.
    """
    frame.options.pygments_formatter = formatter
    try:
        scope = frame.scope
        if scope is None:
            return
        text, node = frame.source.asttext(), frame.executing.node
        begin = text.get_text_range(scope)[0]
        start, end = text.get_text_range(node) if node is not None else (0, 0)
        lexer = _lexer_class()(start - begin, end - begin)
        coloured = _highlight(text.get_text(scope), lexer, formatter)
        frame.__dict__["_pygmented_scope_lines"] = frame.source.line_range(scope)[0], coloured.splitlines()
    except Exception:  # noqa: BLE001 -- sources of every kind; stack_data knows how to live with them
        return


def _highlight(code: str, lexer: Any, formatter: Any) -> str:
    from pygments import highlight  # noqa: PLC0415 -- only for errors

    return highlight(code, lexer, formatter)
