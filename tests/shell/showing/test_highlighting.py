"""Coloured tracebacks are the text that IPython would have made."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.ultratb import AutoFormattedTB
from stack_data import FrameInfo

from async_kernel.shell.showing.highlighting import formatter_for, prepare_lines
from async_kernel.shell.showing.traceback import CellTB

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


def divide() -> None:
    """Fails in the middle of a line."""
    values = [1, 2, 0]
    print([1 / (value + 0) for value in values])


def spread() -> None:
    """Fails in an expression of several lines."""
    int(
        "not a number".replace("t", "tt"),
        base=10 + 1 - 1,
    )


def recurse(depth: int = 30) -> None:
    """Fails far below."""
    if depth:
        recurse(depth - 1)
    raise KeyError("ünï\u2028code")


def chained() -> None:
    """Fails while it deals with a failure."""
    try:
        divide()
    except ZeroDivisionError as exc:
        raise RuntimeError("on top") from exc


def without_source() -> None:
    """Fails in code that has no file."""
    exec(compile("def f():\n    raise ValueError\nf()", "<nowhere>", "exec"), {})


FAULTS: list[Callable[[], None]] = [divide, spread, recurse, chained, without_source]


def fail(fault: Callable[[], None]) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    with pytest.raises((LookupError, RuntimeError, ValueError, ZeroDivisionError)) as raised:
        fault()
    return raised.type, raised.value, raised.tb.tb_next


@pytest.mark.parametrize("theme", ["linux", "lightbg", "neutral", "pride", "nocolor"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_text_is_that_of_ipython(fault: Callable[[], None], theme: str) -> None:
    error = fail(fault)
    options: dict[str, Any] = {"mode": "Context", "theme_name": theme}
    expected = AutoFormattedTB(**options).structured_traceback(*error, 0)
    assert expected == CellTB(**options).structured_traceback(*error)


def test_formatter_and_lexer_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    formatter = CellTB(mode="Context", theme_name="linux")
    formatter.structured_traceback(*fail(divide))
    made: list[object] = []
    monkeypatch.setattr("pygments.formatters.terminal256.Terminal256Formatter.__init__", lambda *_: made.append(1))
    monkeypatch.setattr("pygments.lexer.RegexLexerMeta.process_tokendef", lambda *_: made.append(1))
    formatter.structured_traceback(*fail(chained))
    assert made == []


def test_what_cannot_be_coloured_is_left_to_stack_data() -> None:
    frame = FrameInfo(sys._getframe())
    frame.source = None
    prepare_lines(frame, formatter_for("linux", "bg:ansiyellow"))
    assert "_pygmented_scope_lines" not in frame.__dict__
    assert frame.options.pygments_formatter is formatter_for("linux", "bg:ansiyellow")
