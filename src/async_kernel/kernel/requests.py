"""The request table: which handler serves a message type, and on which lane.

Lanes are the places where a request can be served:

- ``here``: at once, in the thread that read it (the I/O loop); the handler must not wait for user code;
- ``shell``: the serial lane of the shell (or subshell) that it names: cells, in order;
- ``comm``: the shell's loop, beside the cells: proceeds while a cell awaits, never in the middle of synchronous code;
- ``helper`` and ``completer``: threads for questions about code, answered also while a cell blocks;
- ``debugger``: tasks beside the shell's loop, in the order of arrival, also while a cell is stopped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from async_kernel.kernel import cancel, comms, info, introspection, lifecycle, subshells, task_tree
from async_kernel.typing import MsgType

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from async_kernel.kernel.kernel import Kernel
    from async_kernel.protocol.request import Request
    from async_kernel.typing import Content

__all__ = ["COMMS", "QUESTIONS", "REQUESTS", "LaneName", "Route"]

LaneName = Literal["here", "shell", "comm", "helper", "completer", "debugger"]


def _no_handler(kernel: Kernel[Any], request: Request) -> None:
    """Cells and the debugger's requests are served by their lanes."""


class Route(NamedTuple):
    """How a message type is served.

    The handler returns the reply's content, or None for no reply. Cells have none: their lane runs them
    (:func:`async_kernel.kernel.execution.execute`); nor has the debugger, which has many commands of its own.
    """

    lane: LaneName
    handler: Callable[[Kernel[Any], Request], Content | Awaitable[Content | None] | None] = _no_handler


COMMS: Final = ("comm_open", "comm_msg", "comm_close")
QUESTIONS: Final = ("complete_request", "inspect_request", "is_complete_request", "history_request")
"""Questions about code: served beside the cells, or between their awaits where a shell's code must have one thread."""

REQUESTS: Mapping[str, Route] = {
    MsgType.kernel_info_request: Route("here", info.kernel_info),
    MsgType.connect_request: Route("here", info.connect),
    MsgType.drop_counts_request: Route("here", info.drop_counts),
    MsgType.usage_request: Route("helper", info.usage),
    MsgType.comm_info_request: Route("here", comms.comm_info),
    MsgType.interrupt_request: Route("here", lifecycle.interrupt),
    MsgType.shutdown_request: Route("here", lifecycle.shutdown),
    MsgType.cancel_request: Route("here", cancel.cancel),
    MsgType.task_tree_request: Route("here", task_tree.task_tree),
    MsgType.create_subshell_request: Route("here", subshells.create),
    MsgType.delete_subshell_request: Route("here", subshells.delete),
    MsgType.list_subshell_request: Route("here", subshells.listing),
    MsgType.debug_request: Route("debugger"),
    MsgType.execute_request: Route("shell"),
    MsgType.comm_open: Route("comm", comms.comm_open),
    MsgType.comm_msg: Route("comm", comms.comm_msg),
    MsgType.comm_close: Route("comm", comms.comm_close),
    MsgType.complete_request: Route("completer", introspection.complete),
    MsgType.inspect_request: Route("completer", introspection.inspect),
    MsgType.is_complete_request: Route("helper", introspection.is_complete),
    MsgType.history_request: Route("helper", introspection.history),
}
