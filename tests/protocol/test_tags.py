from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from async_kernel.protocol.errors import RequestError
from async_kernel.protocol.tags import tag_text, tag_value, tags_in

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("metadata", "tags"),
    [
        ({}, []),
        ({"tags": ["a", "b"]}, ["a", "b"]),
        ({"cell": {"tags": ["a"]}}, ["a"]),
        ({"tags": ["mine"], "cell": {"tags": ["not looked at"]}}, ["mine"]),
        ({"tags": None, "cell": {"tags": ["a"]}}, ["a"]),
        ({"cell": "a"}, []),
    ],
)
def test_tags_are_found_where_clients_put_them(metadata: dict[str, Any], tags: list[str]) -> None:
    assert tags_in(metadata) == tags


@pytest.mark.parametrize("tags", ["a", 1, {"a": 1}, ["a", 1], [None]])
@pytest.mark.parametrize("wrap", [lambda tags: {"tags": tags}, lambda tags: {"cell": {"tags": tags}}])
def test_tags_that_are_no_list_of_strings_are_refused(tags: object, wrap: Callable[[object], dict[str, Any]]) -> None:
    with pytest.raises(RequestError, match="tags must be a list of strings"):
        tags_in(wrap(tags))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("timeout", "5"),
        ("timeout=", "5"),
        ("stop-on-error", ""),
        ("stop_on_error", ""),
        ("first", "1"),
        ("no such", None),
        ("time", None),
    ],
)
def test_a_tag_is_found_by_its_name(name: str, text: str | None) -> None:
    assert tag_text(["timeout = 5 ", "stop_on-error", "first=1", "first=2"], name) == text


@pytest.mark.parametrize(
    ("tag", "default", "value"),
    [
        ("x=2.5", 0.0, 2.5),
        ("x=2", 0.0, 2.0),
        ("x=2", 0, 2),
        ("x=text", "", "text"),
        ("x", "default", ""),
        ("x=text", None, "text"),
        ("x", False, True),
        ("x=no", True, False),
        ("x=True", False, True),
        ("y=1", 7, 7),
    ],
)
def test_a_value_has_the_type_of_the_default(tag: str, default: Any, value: Any) -> None:
    found = tag_value([tag], "x", default)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("tag", "default"), [("x=soon", 0.0), ("x", 0.0), ("x=1.5", 0), ("x=perhaps", False)])
def test_a_value_of_another_type_is_an_error_that_names_the_tag(tag: str, default: Any) -> None:
    with pytest.raises(ValueError, match="The tag 'x' has the value"):
        tag_value([tag], "x", default)
