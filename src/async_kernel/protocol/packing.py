"""JSON for hosts without sockets, where ``jupyter_client`` (which needs zmq) cannot be imported.

The same rules as its session's: dates as ISO 8601 in UTC, bytes as base64, numbers that JSON does not know as null, and
whatever else is iterable as a list. orjson does it when it is there, the standard library otherwise.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from datetime import UTC, date, datetime
from numbers import Integral, Real
from typing import Any, cast

__all__ = ["pack", "unpack"]


def _default(value: Any) -> Any:
    """What a value that JSON does not know becomes."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(cast("bytes", value)).decode("ascii")
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Iterable):
        return list(cast("Any", value))
    msg = f"{type(value).__name__} is not JSON serializable"
    raise TypeError(msg)


def _plain(value: Any) -> Any:
    """``value`` without what the standard library would write as invalid JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _standard(value: Any) -> str:
    return json.dumps(_plain(value), default=lambda item: _plain(_default(item)), allow_nan=False, ensure_ascii=False)


try:
    import orjson
except ImportError:  # a browser may have none
    orjson = None

    def pack(value: Any) -> str:
        """``value`` as JSON."""
        return _standard(value)

else:
    _dumps = orjson.dumps
    _OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS

    def pack(value: Any) -> str:
        """``value`` as JSON."""
        try:
            return _dumps(value, default=_default, option=_OPTIONS).decode()
        except TypeError:  # lone surrogates, integers over 64 bits
            return _standard(value)


def unpack(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: if it is none.
    """
    return json.loads(text)
