"""Forks: where processes can be forked, the interpreter calls hooks. They cannot be removed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["at_fork"]


def at_fork(**hooks: Callable[[], object]) -> None:
    """Have functions called for every fork from now on, where there are forks.

    Args:
        hooks: ``before``, ``after_in_parent`` and ``after_in_child``, as for :func:`os.register_at_fork`.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(**hooks)
