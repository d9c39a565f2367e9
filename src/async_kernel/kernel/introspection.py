"""Questions about code: complete, inspect, is_complete, history. Served by helper threads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from async_kernel.protocol.errors import RequestError
from async_kernel.protocol.fields import field, list_field

if TYPE_CHECKING:
    from async_kernel.kernel.kernel import Kernel
    from async_kernel.protocol.request import Request
    from async_kernel.typing import Content

__all__ = ["complete", "history", "inspect", "is_complete"]


def _cursor(request: Request, code: str) -> int:
    """Where the cursor is; at an end if it is told to be outside, as JupyterLab does while its user types."""
    return min(max(field(request, "cursor_pos", int, default=len(code)), 0), len(code))


def complete(kernel: Kernel[Any], request: Request) -> Content:
    """complete_request: what could stand at the cursor; aborted if its client has asked anew since."""
    if kernel.questions.is_superseded(request):
        return {"status": "aborted"}
    code = field(request, "code", str)
    return kernel.shell.do_complete(code, _cursor(request, code))


def inspect(kernel: Kernel[Any], request: Request) -> Content:
    """inspect_request: what the object at the cursor is."""
    code = field(request, "code", str)
    omit = list_field(request, "omit_sections")
    detail = field(request, "detail_level", int, default=0)
    return kernel.shell.do_inspect(code, _cursor(request, code), detail, tuple(map(str, omit)))


def is_complete(kernel: Kernel[Any], request: Request) -> Content:
    """is_complete_request: whether a console should run the code or ask for more lines."""
    return kernel.shell.is_complete(field(request, "code", str))


def history(kernel: Kernel[Any], request: Request) -> Content:
    """history_request: by tail, range or search."""
    access = field(request, "hist_access_type", str)
    if access not in ("tail", "range", "search"):
        msg = f"hist_access_type is {access!r}; it must be 'tail', 'range' or 'search'"
        raise RequestError(msg)
    return kernel.shell.do_history(
        hist_access_type=access,
        raw=field(request, "raw", bool, default=True),
        output=field(request, "output", bool, default=False),
        session=field(request, "session", int, default=0),
        start=field(request, "start", int, default=0),
        stop=field(request, "stop", int, default=None),
        n=field(request, "n", int, default=None),
        pattern=field(request, "pattern", str, default=None),
        unique=field(request, "unique", bool, default=False),
    )
