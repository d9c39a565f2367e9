"""Other processes: how their end is noticed without a poll, and who is in our group.

| | the end of any process | process groups |
|---|---|---|
| Linux | a pidfd | yes |
| macOS | kqueue | yes |
| Windows | a handle | no |
"""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import suppress
from typing import Any

__all__ = ["is_in_our_group", "open_end", "signal_group", "wait_until_ended"]


def open_end(pid: int) -> int | None:
    """A descriptor that is readable when the process ``pid`` has ended, for the caller to close; None: there is none.

    Raises:
        ProcessLookupError: if it has ended, and somebody has waited for it.
    """
    return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None


async def wait_until_ended(pid: int) -> bool:
    """In a trio loop: wait until the process ``pid`` (on Windows: of that handle) has ended.

    Returns:
        False, at once, if that cannot be noticed here.
    """
    import trio  # noqa: PLC0415 -- other kernels need none

    if sys.platform == "win32":
        await trio.lowlevel.WaitForSingleObject(pid)
        return True
    if sys.platform == "darwin":
        await _wait_with_kqueue(pid)
        return True
    try:
        descriptor = open_end(pid)
    except ProcessLookupError:
        return True
    if descriptor is None:
        return False
    try:
        await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)
    return True


async def _wait_with_kqueue(pid: int) -> None:
    lowlevel: Any = importlib.import_module("trio").lowlevel  # what follows exists on macOS only
    select: Any = importlib.import_module("select")
    kqueue = lowlevel.current_kqueue()
    flags = select.KQ_EV_ADD | select.KQ_EV_ONESHOT
    event = select.kevent(pid, select.KQ_FILTER_PROC, flags, select.KQ_NOTE_EXIT)
    with lowlevel.monitor_kevent(pid, select.KQ_FILTER_PROC) as queue:
        try:
            kqueue.control([event], 0)
        except ProcessLookupError:
            return
        async for _ in queue:
            return


def is_in_our_group(pid: int) -> bool:
    """Whether the process ``pid`` is in the process group of this one: Control-C in a terminal would reach it.

    Raises:
        ProcessLookupError: if it has ended.
    """
    return hasattr(os, "getpgid") and os.getpgid(pid) == os.getpgrp()


def signal_group(pid: int, signum: int) -> None:
    """Send a signal to the process group of the process ``pid``; nothing where there are none, or if it has ended."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signum)
