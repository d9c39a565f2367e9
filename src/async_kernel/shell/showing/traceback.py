"""Errors as the user sees them.

IPython formats a traceback; here is what it must not show and what it cannot. Frames of the kernel are cut away.
ExceptionGroups are shown whole, as a tree whose every member is formatted like any other error, without the frames
of the nursery that collected them. A cancellation in a group is one line.

The text is a list of strings, coloured; joined by newlines it is the ``traceback`` of iopub ``error`` and of the
reply.
"""

from __future__ import annotations

import linecache
import os
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from async_kernel.common import PACKAGE_FOLDER
from async_kernel.protocol.errors import error_content
from async_kernel.shell.cells.cancellation import is_cancellation
from async_kernel.shell.cells.cell import chained
from async_kernel.shell.cells.machinery import is_library, is_machinery
from async_kernel.shell.ipython import AutoFormattedTB
from async_kernel.shell.showing.highlighting import formatter_for, prepare_lines

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["CellTB", "trim"]

_MACHINERY = ("trio", "anyio", "asyncio", "outcome", "bdb", "pdb", "cmd")
_MAX_DEPTH = 10  # groups in groups, as the traceback module shows them
_MAX_WIDTH = 15  # members of a group, likewise


def trim(tb: TracebackType | None, *, machinery: bool = False) -> TracebackType | None:
    """``tb`` without the kernel's own frames, and without those of the async libraries that lead to the user's.

    Args:
        tb: a traceback.
        machinery: leave out all frames of the async libraries and of debuggers.

    Returns:
        a new chain of traceback entries; ``tb`` itself where nothing would be left.
    """
    entries: list[TracebackType] = []
    entry = tb
    while entry is not None:
        entries.append(entry)
        entry = entry.tb_next
    roots = (PACKAGE_FOLDER, *_roots()) if machinery else PACKAGE_FOLDER
    kept = [entry for entry in entries if not entry.tb_frame.f_code.co_filename.startswith(roots)]
    # How a task, or what a thread hands back, has come to the user's code.
    del kept[: next((n for n, e in enumerate(kept) if not is_machinery(e.tb_frame.f_code.co_filename)), 0)]
    while len(kept) > 1 and _calls_cell_magic(kept[0]) and not is_library(kept[1].tb_frame.f_code.co_filename):
        del kept[0]  # the user has written what it runs
    if not kept or len(kept) == len(entries):
        return tb
    return chained(kept)


def _calls_cell_magic(entry: TracebackType) -> bool:
    """Whether it stands for the line that IPython puts in the place of a cell magic."""
    code = entry.tb_frame.f_code
    line = linecache.getline(code.co_filename, entry.tb_lineno)
    return code.co_name == "<module>" and line.startswith("get_ipython().run_cell_magic(")


def _roots() -> tuple[str, ...]:
    """What the file names of the machinery begin with: those of its packages, and of modules that are a file."""
    files = [Path(file) for name in _MACHINERY if (file := getattr(sys.modules.get(name), "__file__", None))]
    return tuple(f"{file.parent}{os.sep}" if file.stem == "__init__" else str(file) for file in files)


class CellTB(AutoFormattedTB):
    """IPython's formatter of tracebacks, for errors of cells."""

    def __init__(self, **kwargs: Any) -> None:
        base: Any = super()
        base.__init__(**kwargs)
        self._gathering = threading.local()  # an error may be formatted in each thread at the same time
        self._alone: set[int] = set()  # ids of the errors that are formatted without what is chained to them

    def structured_traceback(
        self,
        etype: type[BaseException],
        evalue: BaseException | None,
        etb: TracebackType | None = None,
        tb_offset: int | None = None,
        context: int = 5,
    ) -> list[str]:
        """Format an error; never raises, whatever the error's own methods do."""
        if evalue is None:
            evalue = sys.exc_info()[1]
        if evalue is None:
            base: Any = super()
            return base.structured_traceback(etype, evalue, etb, tb_offset, context)
        self.tb: TracebackType | None = trim(etb)
        try:
            if self.mode not in ("Minimal", "Docs", "Doctest") and _needs_a_tree(evalue):
                return self._chain(evalue, context, set())
            # what leads to the user's code is cut away here, so that there is no offset left
            base: Any = super()
            return base.structured_traceback(type(evalue), evalue, self.tb, 0, context)
        except Exception:  # noqa: BLE001 -- IPython's formatter meets sources and reprs of every kind
            return _plain(evalue, self.tb)

    # -- source lines ----------------------------------------------------------------------------------------

    @property
    def has_colors(self) -> bool:
        """Whether the theme has any; not while frames are gathered."""
        base: Any = super()
        return base.has_colors and not getattr(self._gathering, "records", False)

    def get_records(self, etb: TracebackType, context: int, tb_offset: int) -> Any:
        """As IPython's, but without the formatter that it would make for this one error."""
        self._gathering.records = True
        try:
            base: Any = super()
            return base.get_records(etb, context, tb_offset)
        finally:
            self._gathering.records = False

    def format_record(self, frame_info: Any) -> str:
        """As IPython's, with lines that are coloured already."""
        frame = getattr(frame_info, "_sd", None)
        if self.has_colors and hasattr(frame, "executing"):  # neither a raw frame nor one that repeats
            prepare_lines(frame, formatter_for(self._theme_name, self.tb_highlight))
        base: Any = super()
        return base.format_record(frame_info)

    # -- chains and groups -----------------------------------------------------------------------------------

    def get_parts_of_chained_exception(self, evalue: Any) -> Any:
        """As IPython's; None for the errors that :meth:`_chain` formats one by one."""
        if id(evalue) in self._alone:
            return None
        base: Any = super()
        return base.get_parts_of_chained_exception(evalue)

    def _chain(self, exc: BaseException, context: int, seen: set[int], depth: int = 0) -> list[str]:
        """``exc`` with what caused it above it."""
        seen.add(id(exc))
        lines: list[str] = []
        before = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
        if before is not None and id(before) not in seen and not is_cancellation(before):
            lines += self._chain(before, context, seen, depth)
            for part in self.prepare_chained_exception_message(exc.__cause__):
                lines += part if isinstance(part, list) else [part]
        lines += self._one(exc, context, brief=depth > 0 and is_cancellation(exc))
        if isinstance(exc, BaseExceptionGroup):
            lines += self._members(cast("BaseExceptionGroup[BaseException]", exc), context, seen, depth + 1)
        return lines

    def _one(self, exc: BaseException, context: int, *, brief: bool) -> list[str]:
        if brief:
            return [f"{type(exc).__name__}: {exc}".removesuffix(": ")]
        tb = trim(exc.__traceback__, machinery=True)
        self._alone.add(id(exc))
        try:
            base: Any = super()
            return base.structured_traceback(type(exc), exc, tb, 0, context)
        finally:
            self._alone.discard(id(exc))

    def _members(self, group: BaseExceptionGroup[BaseException], context: int, seen: set[int], depth: int) -> list[str]:
        if depth > _MAX_DEPTH:
            return [f"    ... and {len(group.exceptions)} more levels down"]
        lines: list[str] = []
        for number, member in enumerate(group.exceptions[:_MAX_WIDTH], start=1):
            lines.append(f"  {'+-+' if number == 1 else '  +'}---------------- {number} ----------------")
            text = "\n".join(self._chain(member, context, seen, depth)) if id(member) not in seen else repr(member)
            lines += [f"    | {line}" for line in text.splitlines()]
        left = len(group.exceptions) - _MAX_WIDTH
        if left > 0:
            lines += ["    +---------------- ... ----------------", f"    | and {left} more"]
        return [*lines, "    +------------------------------------"]


def _needs_a_tree(exc: BaseException) -> bool:
    """Whether there is a group in the chain of ``exc``, or a cancellation in what led to it."""
    seen: set[int] = set()
    link: BaseException | None = exc
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, BaseExceptionGroup) or (link is not exc and is_cancellation(link)):
            return True
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return False


def _plain(exc: BaseException, tb: TracebackType | None) -> list[str]:
    try:
        return "".join(traceback.format_exception(type(exc), exc, tb)).splitlines()
    except Exception:  # noqa: BLE001 -- the user's __str__ or __notes__ may do anything
        return cast("list[str]", error_content(exc)["traceback"])
