"""The reference has all names that are documented, and none that is not there."""

from __future__ import annotations

import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

from tests.test_public_names import NAMES

PAGE = Path(__file__).parents[2] / "docs/reference/index.md"
ENTRIES = re.findall(r"^::: (\S+)$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_is_there_and_explained(entry: str) -> None:
    assert pkgutil.resolve_name(entry).__doc__


def objects(module: str) -> list[tuple[str, Any]]:
    """What a module offers by its documented names."""
    there = pkgutil.resolve_name(module)
    return [(name, getattr(there, name)) for name in NAMES[module]]


@pytest.mark.parametrize("module", [name for name in NAMES if name != "async_kernel.command"])
def test_every_documented_name_is_explained(module: str) -> None:
    entries = [pkgutil.resolve_name(entry) for entry in ENTRIES]
    # A module on the page brings all its names; constants are not objects of their own, and stand in the text.
    missing = [
        name
        for name, thing in objects(module)
        if module not in ENTRIES and (isinstance(thing, type) or callable(thing)) and thing not in entries
    ]
    assert missing == []
