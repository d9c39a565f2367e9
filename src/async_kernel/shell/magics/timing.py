"""Timing code that awaits, as %timeit times code that does not.

The statement becomes the body of a loop in an async function, with IPython's transformations of text and tree but none
of the timing code's own; loops are counted, repeated and reported as IPython does it, by its TimeitResult. The garbage
collector rests meanwhile.
"""

from __future__ import annotations

import ast
import gc
import itertools
import time
import timeit
from typing import TYPE_CHECKING, Any, cast

from IPython.core.error import UsageError

from async_kernel.shell.running.compiling import await_magics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from async_kernel.shell.ipshell import IPShell

__all__ = ["seconds_text", "timeit_awaiting", "timeit_options"]

_LONG_ENOUGH_S = 0.2
"""How long a loop takes at least when nobody says how often it shall run: then the clock's steps do not matter."""
_MOST_LOOPS = 10**9
_REPEAT = 7
_SUSPICIOUS = 4
"""How many times the slowest may be slower than the fastest before that is said."""
_COMPILED_SLOWLY_S = 0.1

_TEMPLATE = """
async def inner(_it, _timer):
    _t0 = _timer()
    for _i in _it:
        pass
    _t1 = _timer()
    return _t1 - _t0
"""


def _ipython() -> Any:
    from IPython.core.magics import execution  # noqa: PLC0415 -- untyped, and first wanted here

    return execution


def seconds_text(seconds: float) -> str:
    """As %time prints it."""
    return _ipython()._format_time(seconds)  # noqa: SLF001


def timeit_options(magics: Any, line: str) -> tuple[Any, str]:
    """The options of %timeit, and its statement."""
    return magics.parse_options(line, "n:r:tcp:qov:", posix=False, strict=False, preserve_non_opts=True)


async def timeit_awaiting(shell: IPShell[Any], options: Any, statement: str, cell: str | None) -> Any:
    """%timeit of code that awaits.

    Raises:
        SyntaxError: if it is no Python.
        UsageError: for an option that is not a number.
    """
    setup, timed = ("pass", statement) if cell is None else (statement, cell)
    began = time.perf_counter()
    inner = _compiled(shell, setup, timed)
    compile_time = time.perf_counter() - began

    clock = time.time if "t" in options else time.process_time if "c" in options else timeit.default_timer
    repeat = _number(options, "r", _REPEAT)
    loops = _number(options, "n", 0) or await _enough_loops(inner, clock)
    runs = [await _run(inner, loops, clock) for _ in range(repeat)]
    best, worst = min(runs) / loops, max(runs) / loops
    precision = _number(options, "p", 3)
    result = _ipython().TimeitResult(loops, repeat, best, worst, runs, compile_time, precision)
    if "q" not in options:
        if worst > _SUSPICIOUS * best > 0 and worst > 1e-6:
            print(f"The slowest run took {worst / best:.2f} times longer than the fastest.")
        print(result)
        if compile_time > _COMPILED_SLOWLY_S:
            print(f"Compiler time: {compile_time:.2f} s")
    if "v" in options:
        shell.user_ns[options["v"]] = result
    return result if "o" in options else None


def _number(options: Any, name: str, default: int) -> int:
    try:
        number = int(options.get(name, default))
    except ValueError:
        number = -1
    if number < 0:
        msg = f"%timeit: -{name} takes a whole number, not {options[name]!r}"
        raise UsageError(msg)
    return number


def _compiled(shell: IPShell[Any], setup: str, statement: str) -> Callable[..., Awaitable[float]]:
    """A function that runs the set-up, and times as many runs of the statement as its iterator has items."""

    def parse(code: str, name: str) -> list[ast.stmt]:
        tree = await_magics(shell.compile.ast_parse(shell.transform_cell(code)), shell.is_async_magic)
        tree = cast("ast.Module", shell.transform_ast(tree))
        # By itself first: what is wrong with it is not to be said of the function around it.
        compile(tree, name, "exec", flags=shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return tree.body

    template = ast.parse(_TEMPLATE)
    inner = cast("ast.AsyncFunctionDef", template.body[0])
    loop = cast("ast.For", inner.body[1])
    loop.body = parse(statement, "<magic-timeit-stmt>") or loop.body
    inner.body[:0] = parse(setup, "<magic-timeit-setup>")
    code = shell.compile(ast.fix_missing_locations(template), "<magic-timeit>", "exec")
    namespace: dict[str, Any] = {}
    exec(code, shell.user_ns, namespace)  # noqa: S102 -- it defines the function around the user's code
    return namespace["inner"]


async def _run(inner: Callable[..., Awaitable[float]], loops: int, clock: Callable[[], float]) -> float:
    """Seconds that one loop took."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return await inner(itertools.repeat(None, loops), clock)
    finally:
        if collects:
            gc.enable()


async def _enough_loops(inner: Callable[..., Awaitable[float]], clock: Callable[[], float]) -> int:
    loops = 1
    while loops < _MOST_LOOPS and await _run(inner, loops, clock) < _LONG_ENOUGH_S:
        loops *= 10
    return loops
