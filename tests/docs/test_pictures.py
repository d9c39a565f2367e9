"""The programs that draw the documentation's pictures find what they look at."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from docs.pictures import start
from docs.pictures.round_trip import PROBES, STATIONS


@pytest.mark.parametrize("name", PROBES)
def test_what_a_round_trip_passes_is_there(name: str) -> None:
    module, cls, function = PROBES[name]
    assert callable(getattr(getattr(importlib.import_module(module), cls), function))


def test_every_station_is_watched() -> None:
    assert {station.function for station in STATIONS} <= PROBES.keys()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_all_that_the_table_of_a_start_imports_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "TURNS", 1)
    names = ", ".join(names for _, names in start.IMPORTS)
    cpu_ms, resident_mb, modules = start.imported(Path(sys.executable), names)
    assert (cpu_ms > 0, resident_mb > 10, modules > 100) == (True, True, True)
