"""Variables of the user's namespace while nothing is stopped, so that debugpy cannot be asked for them.

A value that has parts gets a number, by which a client asks for its parts. Numbers and the values that they stand for
are kept until the namespace is looked at anew, or something stops.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Final

from async_kernel.protocol.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OWN_REFERENCES", "Variables"]

OWN_REFERENCES: Final = 1 << 30
"""Numbers from here on are ours; debugpy counts from one."""

MOST_PARTS: Final = 1000
"""Parts of one value that are shown; nobody reads more."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 200
_short.maxlong = 80


class Variables:
    """What was shown, and what its numbers stand for."""

    def __init__(self) -> None:
        self._values: list[object] = []

    def forget(self) -> None:
        """Let go of all values."""
        self._values.clear()

    def of_namespace(self, shell: Any) -> list[dict[str, Any]]:
        """The variables that the user has made, by name."""
        self.forget()
        hidden: dict[str, Any] = shell.user_ns_hidden
        names = dict(shell.user_ns)
        mine = {n: v for n, v in names.items() if not n.startswith("_") and (n not in hidden or hidden[n] is not v)}
        return [self._variable(name, mine[name], name) for name in sorted(mine)]

    def children(self, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        """The parts of the value that a ``variables`` request asks for.

        Raises:
            RequestError: if its number stands for nothing any more.
        """
        number = arguments["variablesReference"] - OWN_REFERENCES
        if number >= len(self._values):
            msg = "this variable was shown before something changed; look at the variables again"
            raise RequestError(msg)
        start, count = arguments.get("start") or 0, arguments.get("count") or MOST_PARTS
        found: list[dict[str, Any]] = []
        for position, (name, value) in enumerate(_parts(self._values[number])):
            if position >= start + min(count, MOST_PARTS):
                break
            if position >= start:
                found.append(self._variable(name, value))
        return found

    def _variable(self, name: str, value: object, evaluated_as: str | None = None) -> dict[str, Any]:
        try:
            text = _short.repr(value)
        except Exception as exc:  # noqa: BLE001 -- the user's __repr__
            text = f"<{type(value).__name__}: {type(exc).__name__} in its __repr__>"
        variable = {"name": name, "value": text, "type": type(value).__name__, "variablesReference": 0}
        if evaluated_as is not None:
            variable["evaluateName"] = evaluated_as
        if next(_parts(value), None) is not None:
            self._values.append(value)
            variable["variablesReference"] = OWN_REFERENCES + len(self._values) - 1
        return variable


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """The names of a value's parts, and these: items of containers, else attributes."""
    if isinstance(value, str | bytes | bytearray | int | float | complex | bool | type(None) | type):
        return
    try:
        if isinstance(value, Mapping):
            for key, part in list(value.items())[:MOST_PARTS]:  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] -- anything
                yield _short.repr(key), part
        elif isinstance(value, Sequence | AbstractSet):
            for number, part in enumerate(value):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] -- anything
                yield f"[{number}]", part
        else:
            for name, part in list(vars(value).items()):
                yield name, part
    except Exception:  # noqa: BLE001 -- the user's classes; what has no parts shows none
        return
