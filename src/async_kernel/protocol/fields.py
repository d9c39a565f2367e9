"""Reading the fields of a request's content, with an error that names the field when it is not what it must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from async_kernel.protocol.errors import RequestError
from async_kernel.typing import NoValue, NoValueType

if TYPE_CHECKING:
    from async_kernel.protocol.request import Request

__all__ = ["field", "list_field"]

T = TypeVar("T")
D = TypeVar("D")


@overload
def field(request: Request, name: str, kind: type[T]) -> T: ...
@overload
def field(request: Request, name: str, kind: type[T], *, default: D) -> T | D: ...
def field(request: Request, name: str, kind: type[Any], *, default: Any | NoValueType = NoValue) -> Any:
    """``request.content[name]``.

    A missing field, or null where there is a default, is the default.

    Raises:
        RequestError: if it is missing without a default, or not of ``kind``.
    """
    value = request.content.get(name)
    if value is None:
        if default is NoValue:
            msg = f"{request.msg_type} has no {name!r}; it must be a {kind.__name__}"
            raise RequestError(msg)
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        msg = f"{name!r} of {request.msg_type} is a {type(value).__name__}; it must be a {kind.__name__}"
        raise RequestError(msg)
    return value


def list_field(request: Request, name: str) -> list[Any]:
    """``request.content[name]``, a list; empty if it is missing or null.

    Raises:
        RequestError: if it is not a list.
    """
    items: Any = field(request, name, cast("Any", list), default=None)
    return items or []
