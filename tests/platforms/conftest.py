"""Modules of the room as they would be on another system."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

NAMES = {"linux": "posix", "darwin": "posix", "emscripten": "posix", "win32": "nt"}
ONLY_LINUX = ("pidfd_open", "eventfd", "eventfd_read", "eventfd_write")
ONLY_POSIX = ("register_at_fork", "getpgid", "getpgrp", "getuid")


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Any]:
    """``on(system, module)``: a fresh copy of the module, with what that system has; until the test has ended."""

    def load(system: str, module: str) -> ModuleType:
        monkeypatch.setattr(sys, "platform", system)
        monkeypatch.setattr(os, "name", NAMES[system])
        for name in (*(ONLY_LINUX if system != "linux" else ()), *(ONLY_POSIX if system == "win32" else ())):
            monkeypatch.delattr(os, name, raising=False)
        spec = find_spec(f"async_kernel.platforms.{module}")
        assert spec is not None
        assert spec.loader is not None
        made = module_from_spec(spec)
        spec.loader.exec_module(made)
        return made

    return load
