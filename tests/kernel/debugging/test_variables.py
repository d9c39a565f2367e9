"""Variables of the namespace while nothing is stopped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from async_kernel.kernel.debugging.variables import MOST_PARTS, Variables
from async_kernel.protocol.errors import RequestError


class BadRepr:
    def __repr__(self) -> str:
        raise ValueError("no")


def shown(variables: Variables, **names: object) -> dict[str, dict[str, Any]]:
    hidden = {"display": print}
    shell = SimpleNamespace(user_ns={**hidden, "_": 1, **names}, user_ns_hidden=hidden)
    return {each["name"]: each for each in variables.of_namespace(shell)}


def parts(variables: Variables, variable: dict[str, Any], **more: int) -> list[tuple[str, str]]:
    found = variables.children({"variablesReference": variable["variablesReference"], **more})
    return [(each["name"], each["value"]) for each in found]


def test_what_the_user_has_made_is_shown() -> None:
    assert [*shown(Variables(), x=5)] == ["x"]
    assert [*shown(Variables(), display="mine")] == ["display"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1}, [("'a'", "1")]),
        ([1, "b"], [("[0]", "1"), ("[1]", "'b'")]),
        ({7}, [("[0]", "7")]),
        (SimpleNamespace(x=1), [("x", "1")]),
    ],
    ids=["dict", "list", "set", "object"],
)
def test_a_value_is_opened(value: object, expected: list[tuple[str, str]]) -> None:
    variables = Variables()
    assert parts(variables, shown(variables, value=value)["value"]) == expected


@pytest.mark.parametrize("value", [5, "text", None, [], {}, int], ids=repr)
def test_what_has_no_parts_cannot_be_opened(value: object) -> None:
    assert shown(Variables(), value=value)["value"]["variablesReference"] == 0


def test_long_values_are_cut_and_shown_in_pages() -> None:
    variables = Variables()
    long = shown(variables, long=list(range(MOST_PARTS + 10)), text="x" * 10_000)
    assert len(long["text"]["value"]) < 300
    assert len(parts(variables, long["long"])) == MOST_PARTS
    assert parts(variables, long["long"], start=5, count=2) == [("[5]", "5"), ("[6]", "6")]


def test_a_repr_that_fails_is_said() -> None:
    assert shown(Variables(), bad=BadRepr())["bad"]["value"].startswith("<BadRepr")


def test_values_are_let_go() -> None:
    variables = Variables()
    old = shown(variables, value=[1])["value"]
    variables.forget()
    with pytest.raises(RequestError, match="look at the variables again"):
        parts(variables, old)
