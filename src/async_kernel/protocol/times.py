"""Times as users write them."""

from __future__ import annotations

from async_kernel.protocol.errors import RequestError

__all__ = ["seconds"]

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: object, *, what: str) -> float:
    """A time as seconds: a number, or a text such as ``5``, ``2.5s``, ``500ms``, ``2m``.

    Raises:
        RequestError: if it is none; the message says ``what`` it was for.
    """
    value: float | None = None
    if isinstance(text, int | float) and not isinstance(text, bool):
        value = float(text)
    elif isinstance(text, str):
        number = text.strip().rstrip("hms")
        unit = text.strip()[len(number) :]
        try:
            value = float(number) * (_UNITS[unit] if unit else 1.0)
        except (ValueError, KeyError):
            value = None
    if value is None or not 0 <= value < float("inf"):
        msg = f"{what} is {text!r}; it must be a time in seconds, or such as '500ms' or '2m'"
        raise RequestError(msg)
    return value
