"""Where threads and tasks stand in user code, read from outside: a look, not a lock; the thread may have gone on."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from async_kernel.common import PACKAGE_FOLDER
from async_kernel.shell.cells.gate import is_gate
from async_kernel.shell.cells.machinery import is_library, is_machinery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

    from async_kernel.kernel.shell_lane import ShellLane

__all__ = ["Place", "function_of", "thread_stack", "where_it_waits"]

Place = dict[str, Any]
"""``{"file", "line", "function"}``"""


def thread_stack(lane: ShellLane) -> list[Place]:
    """The frames of user code on the lane's thread, outermost first; of the callback of a comm message only those."""
    stacks = sys._current_frames()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] -- the documented way
    frame = stacks.get(lane.token.thread_id)
    frames: list[FrameType] = []
    while frame is not None and not is_gate(frame) and not _calls_back(frame):
        frames.append(frame)
        frame = frame.f_back
    if frame is not None and _calls_back(frame):
        while len(frames) > 1 and is_library(frames[-1].f_code.co_filename):
            frames.pop()
    return _user_part([(each.f_code, each.f_lineno) for each in reversed(frames)])


def _calls_back(frame: FrameType) -> bool:
    """Whether it is what calls the callbacks of comms."""
    code = frame.f_code
    return code.co_name == "_call" and code.co_filename == _COMMS


_COMMS = os.path.join(PACKAGE_FOLDER, "kernel", "comms.py")  # noqa: PTH118 -- as file names of code are: text


def function_of(native: Any) -> CodeType:
    """The code of the function that a task runs, without the wrapper in which anyio runs it."""
    awaitable: Any = getattr(native, "coro", None) or native.get_coro()
    code = _attribute(awaitable, "code")
    if code is not None and code.co_name == _ANYIO_WRAPPER:
        frame = _attribute(awaitable, "frame")
        inner = _attribute(awaitable, "await") or getattr(frame and frame.f_locals.get("self"), "coro", None)
        code = _attribute(inner, "code") or code
    return code or function_of.__code__  # it is written in C, or has ended: of no interest


_ANYIO_WRAPPER = "_run_coro"


def where_it_waits(native: Any) -> list[Place]:
    """Where a task of trio or asyncio waits, outermost first."""
    if native is None:
        return []
    return _user_part([(frame.f_code, line) for frame, line in _await_frames(native)])


def _await_frames(native: Any) -> Iterator[tuple[FrameType, int]]:
    awaitable: Any = getattr(native, "coro", None) or native.get_coro()
    while awaitable is not None:
        frame = _attribute(awaitable, "frame")
        if frame is not None:
            yield frame, frame.f_lineno
            driven = frame.f_locals.get("coro") if frame.f_code.co_name == "drive" else None
            if driven is not None:
                awaitable = driven  # a gate drives it step by step, so that it is no awaited one
                continue
        awaitable = _attribute(awaitable, "await") or getattr(awaitable, "gi_yieldfrom", None)


def _attribute(awaitable: Any, what: str) -> Any:
    for prefix in ("cr", "gi", "ag"):
        value = getattr(awaitable, f"{prefix}_{what}", None)
        if value is not None:
            return value
    return None


def _frame(code: CodeType, line: int) -> Place:
    return {"file": code.co_filename, "line": line, "function": code.co_qualname}


def _user_part(frames: list[tuple[CodeType, int]]) -> list[Place]:
    """From the first to the last frame of user code, without the machinery around it; all, if there is none of it."""
    users = [number for number, (code, _) in enumerate(frames) if not is_machinery(code.co_filename)]
    shown = frames[users[0] : users[-1] + 1] if users else frames
    return [_frame(code, line) for code, line in shown]
