"""Whatever users display becomes something that JSON knows."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import json
from typing import Any

import pytest

from async_kernel.shell.showing.json_ready import json_ready, mime_ready


class Odd:
    def __repr__(self) -> str:
        raise LookupError


class Colour(enum.Enum):
    red = 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**100, 2**100),
        (1.5, 1.5),
        (float("nan"), None),
        (float("-inf"), None),
        (fractions.Fraction(1, 2), 0.5),
        (decimal.Decimal("1.5"), "Decimal('1.5')"),
        ("text", "text"),
        ("\ud800", "\\ud800"),
        (b"\x89", "iQ=="),
        (memoryview(b"a"), "YQ=="),
        (datetime.date(2030, 1, 2), "2030-01-02"),
        ((1, {2}), [1, [2]]),
        ({1: {(1, 2): 3}}, {"1": {"(1, 2)": 3}}),
        (collections.OrderedDict(a=1), {"a": 1}),
        ({"a": 1}.keys(), ["a"]),
        (collections.deque([1]), [1]),
        (Colour.red, "<Colour.red: 1>"),
        (iter([1]), None),
        (Odd(), "<Odd whose repr raises LookupError>"),
    ],
)
def test_values(value: Any, expected: Any) -> None:
    ready = json_ready(value)
    json.dumps(ready, allow_nan=False).encode()
    if expected is None and value is not None and not isinstance(value, float):
        assert isinstance(ready, str)
    else:
        assert ready == expected


def test_a_cycle_ends() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert json.dumps(json_ready(cycle))


def test_a_mapping_that_raises_is_its_repr() -> None:
    class Raising(dict[str, int]):
        def items(self) -> Any:
            raise LookupError

    assert json_ready({"inner": Raising(a=1)}) == {"inner": "{'a': 1}"}


def test_a_bundle_of_text_is_passed_on_as_it_is() -> None:
    bundle = {"text/plain": "x", "application/json": {"a": 1}}
    assert mime_ready(bundle) is bundle


@pytest.mark.parametrize(
    ("mime", "expected"),
    [
        ("image/png", "w6Q="),
        ("application/pdf", "w6Q="),
        ("text/html", "ä"),
        ("image/svg+xml", "ä"),
        ("application/javascript", "ä"),
        ("application/vnd.x+json", "ä"),
    ],
)
def test_bytes_become_what_clients_expect_of_the_type(mime: str, expected: str) -> None:
    assert mime_ready({mime: "ä".encode(), "text/plain": "x"}) == {mime: expected, "text/plain": "x"}
