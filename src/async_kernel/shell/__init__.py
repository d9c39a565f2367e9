"""Running the user's code: cells in their scopes, the lane that they queue in, the session's background tasks.

``BaseShell`` needs no IPython; ``IPShell`` is looked up lazily. ``nursery``, ``session`` and ``cell`` are the names
that user code has for what is around it (:mod:`async_kernel.shell.background.names`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from async_kernel.shell.background.names import cell, nursery, session

if TYPE_CHECKING:
    from async_kernel.shell.base import BaseShell
    from async_kernel.shell.ipshell import IPShell

__all__ = ["BaseShell", "IPShell", "cell", "nursery", "session"]


def __getattr__(name: str) -> Any:
    if name == "BaseShell":
        from async_kernel.shell.base import BaseShell  # noqa: PLC0415 -- lazily

        return BaseShell
    if name == "IPShell":
        from async_kernel.shell.ipshell import IPShell  # noqa: PLC0415 -- it brings IPython

        return IPShell
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
