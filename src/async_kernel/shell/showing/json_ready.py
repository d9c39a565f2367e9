"""Making what users display fit for JSON.

What a rich repr returns goes to clients as JSON. Whatever it is, a message must leave: bytes become text or base64, as
clients expect it of their MIME type, and what JSON does not know is replaced by its repr. Pure functions.
"""

from __future__ import annotations

import base64
import datetime
import math
import numbers
from collections.abc import Iterable, Mapping, Sized
from typing import Any, cast

__all__ = ["json_ready", "mime_ready"]

_MAX_DEPTH = 100  # well below what JSON encoders refuse; deeper is a cycle or nothing that a client could show


def mime_ready(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A MIME bundle whose binary values are text: base64, or decoded where the type is one of text."""
    for value in data.values():
        if isinstance(value, bytes | bytearray | memoryview):
            return {mime: _as_text(mime, value) for mime, value in data.items()}
    return data


def _as_text(mime: str, value: Any) -> Any:
    if not isinstance(value, bytes | bytearray | memoryview):
        return value
    data = bytes(cast("bytes", value))
    if mime.startswith("text/") or mime.endswith(("+xml", "+json", "/javascript", "/json")):
        return data.decode("utf-8", "replace")
    return base64.b64encode(data).decode("ascii")


def json_ready(value: Any) -> Any:
    """A copy of ``value`` that any JSON encoder takes; never raises."""
    return _ready(value, 0)


def _ready(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(cast("bytes", value)).decode("ascii")
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if depth < _MAX_DEPTH:
        try:
            if isinstance(value, numbers.Integral):
                return int(value)
            if isinstance(value, numbers.Real):
                number = float(value)
                return number if math.isfinite(number) else None
            if isinstance(value, Mapping):
                items = cast("Mapping[Any, Any]", value).items()
                return {_ready(str(key), depth + 1): _ready(item, depth + 1) for key, item in items}
            if isinstance(value, list | tuple | set | frozenset) or _is_plain_iterable(value):
                return [_ready(item, depth + 1) for item in cast("Iterable[Any]", value)]
        except Exception:  # noqa: BLE001 -- a user's class may raise anything; its repr stands for it
            return _repr(value)
    return _repr(value)


def _is_plain_iterable(value: Any) -> bool:
    """Whether it is one of the library's views of a container (``dict.keys()``, a deque…), not a generator."""
    container: Any = value
    return (
        isinstance(container, Sized)
        and isinstance(container, Iterable)
        and _module(value) in ("builtins", "collections")
    )


def _module(value: Any) -> str:
    return type(value).__module__


def _repr(value: Any) -> str:
    try:
        return repr(value).encode("utf-8", "backslashreplace").decode("utf-8")
    except Exception as exc:  # noqa: BLE001 -- as above
        return f"<{type(value).__name__} whose repr raises {type(exc).__name__}>"
