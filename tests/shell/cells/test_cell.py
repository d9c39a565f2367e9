"""What the user sees of a cell that was cut short."""

from __future__ import annotations

import types

import pytest

from async_kernel.shell.cells.cell import chained, user_traceback


def divide() -> float:
    return 1 / 0


def traceback_of(function: types.FunctionType) -> types.TracebackType:
    with pytest.raises(ZeroDivisionError) as caught:
        function()
    assert caught.tb.tb_next is not None
    return caught.tb.tb_next


def test_code_without_lines_has_a_place_all_the_same() -> None:
    code = divide.__code__.replace(co_linetable=b"")
    entry = traceback_of(types.FunctionType(code, globals()))
    assert entry.tb_lineno is None
    kept = user_traceback(entry)
    assert kept is not None
    assert kept.tb_lineno == code.co_firstlineno


def test_entries_keep_their_order() -> None:
    def outer() -> float:
        return divide()

    entry = traceback_of(outer)
    assert entry.tb_next is not None
    chain = chained([entry, entry.tb_next])
    assert chain is not None
    assert chain.tb_frame.f_code is outer.__code__
    assert chain.tb_next is not None
    assert chain.tb_next.tb_frame.f_code is divide.__code__
    assert chained([]) is None
