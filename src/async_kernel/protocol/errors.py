"""Exceptions as message content."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from async_kernel.typing import Content

__all__ = ["RequestError", "error_content"]


class RequestError(Exception):
    """A request that cannot be served as it is; the message says what to do, and is the reply's ``evalue``."""


def error_content(exc: BaseException) -> Content:
    """The error fields of a reply, without the status: ``ename``, ``evalue``, ``traceback`` (lines)."""
    try:
        evalue = str(exc)
    except BaseException as broken:  # noqa: BLE001 -- the user's __str__ may do anything
        evalue = f"<{type(exc).__name__} whose text cannot be had: {type(broken).__name__}>"
    if isinstance(exc, RequestError):
        lines = [evalue]
    else:
        try:
            lines = traceback.format_exception(exc)
        except BaseException:  # noqa: BLE001 -- as above
            lines = [f"{type(exc).__name__}: {evalue}"]
    return {"ename": type(exc).__name__, "evalue": evalue, "traceback": lines}
