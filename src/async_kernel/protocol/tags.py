"""The tags of a cell: where clients put them, and the values that they carry; and the line that stands for one.

A tag is a word (``raises-exception``) or a name with a value (``timeout=5``). ``-`` and ``_`` are the same in a name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from async_kernel.protocol.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["MODE_LINE", "tag_text", "tag_value", "tags_in"]

MODE_LINE = re.compile(r"# ?(task|thread)\b.*\n(?=%%)")
"""The first line of a cell that says how it runs, where a cell magic follows."""

_BOOLS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def tags_in(metadata: Mapping[str, Any]) -> list[str]:
    """The tags in the metadata of an execute_request; some clients put them there, others in its ``cell``.

    Raises:
        RequestError: if they are no list of strings. A cell that is to end after five seconds would run for hours.
    """
    for holder in (metadata, metadata.get("cell")):
        tags: Any = holder.get("tags") if isinstance(holder, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if tags is None:
            continue
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):  # pyright: ignore[reportUnknownVariableType]
            msg = f"the metadata has tags={tags!r}; tags must be a list of strings, such as ['task', 'timeout=5']"
            raise RequestError(msg)
        return tags  # pyright: ignore[reportUnknownVariableType]
    return []


def tag_text(tags: Iterable[str], name: str) -> str | None:
    """The value of the first tag of this name: empty for a bare word; None if there is none."""
    wanted = _name(name)
    for tag in tags:
        if _name(tag) == wanted:
            return tag.partition("=")[2].strip()
    return None


def tag_value(tags: Iterable[str], name: str, default: Any) -> Any:
    """The value of the first tag of this name as the type of ``default``; ``default`` if there is no such tag.

    Args:
        tags: of a cell.
        name: of the tag.
        default: a bool (a bare word is True), an int, a float, a string, or None for a string.

    Raises:
        ValueError: if the value is none of that type; the message names the tag.
    """
    text = tag_text(tags, name)
    if text is None:
        return default
    if isinstance(default, bool):
        if not text:
            return True
        if text.lower() in _BOOLS:
            return _BOOLS[text.lower()]
    elif isinstance(default, int | float):
        try:
            return type(default)(text)
        except ValueError:
            pass
    else:
        return text
    msg = f"The tag {name!r} has the value {text!r}; it must be a {type(default).__name__}."
    raise ValueError(msg)


def _name(tag: str) -> str:
    return tag.partition("=")[0].strip().replace("_", "-").lower()
