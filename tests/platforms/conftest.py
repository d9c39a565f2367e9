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
ONLY_POSIX = ("register_at_fork", "getpgid", "getpgrp", "getuid", "killpg")


class Elsewhere:
    """A module as it is on another system: with other values, or without some names."""

    def __init__(self, module: ModuleType, missing: tuple[str, ...] = (), **values: Any) -> None:
        self._module = module
        self._missing = missing
        vars(self).update(values)

    def __getattr__(self, name: str) -> Any:
        if name in self._missing:
            raise AttributeError(name)
        return getattr(self._module, name)


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Any]:
    """``on(system, module)``: a fresh copy of the module, as it is on that system; nothing else is moved there."""

    def load(system: str, name: str) -> Any:
        missing = (*(ONLY_LINUX if system != "linux" else ()), *(ONLY_POSIX if system == "win32" else ()))
        spec = find_spec(f"async_kernel.platforms.{name}")
        assert spec is not None
        assert spec.loader is not None
        module: Any = module_from_spec(spec)
        with monkeypatch.context() as there:
            there.setattr(sys, "platform", system)
            there.setattr(os, "name", NAMES[system])
            for each in missing:
                there.delattr(os, each, raising=False)
            spec.loader.exec_module(module)
        if hasattr(module, "sys"):
            module.sys = Elsewhere(sys, platform=system)
        if hasattr(module, "os"):
            module.os = Elsewhere(os, missing, name=NAMES[system])
        return module

    return load
