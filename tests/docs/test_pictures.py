"""The programs that draw the documentation's pictures find what they look at."""

from __future__ import annotations

import importlib

import pytest

from docs.pictures.round_trip import PROBES, STATIONS


@pytest.mark.parametrize("name", PROBES)
def test_what_a_round_trip_passes_is_there(name: str) -> None:
    module, cls, function = PROBES[name]
    assert callable(getattr(getattr(importlib.import_module(module), cls), function))


def test_every_station_is_watched() -> None:
    assert {station.function for station in STATIONS} <= PROBES.keys()
