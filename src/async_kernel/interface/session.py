"""The session of an interface as ``jupyter_client.session.Session``, for those who ask for it.

Importing this module imports jupyter_client; :mod:`~async_kernel.interface.connection` says when that happens.
"""

from __future__ import annotations

from typing import Any

from jupyter_client.session import Session

from async_kernel.slot import HasInterface

__all__ = ["AsyncSession"]


class AsyncSession(HasInterface[Any], Session):
    """The session of an interface: it signs, packs and checks messages. A fork is not looked for at each message."""

    check_pid = False
