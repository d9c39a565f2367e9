"""Keeping what a piece of code writes and displays: ``%%capture``.

Only what the capturing context writes is kept: what other cells write meanwhile goes where it always goes. Displays and
results are caught by hooks of that context.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any

from IPython.utils.capture import CapturedIO

from async_kernel.shell.user_io.diverting import diverted

if TYPE_CHECKING:
    from collections.abc import Generator

    from async_kernel.shell.ipshell import IPShell
    from async_kernel.typing import StreamName

__all__ = ["captured"]


@contextmanager
def captured(
    shell: IPShell[Any], *, stdout: bool = True, stderr: bool = True, display: bool = True
) -> Generator[CapturedIO]:
    """Keep what this context writes and displays in the object that this gives, while open."""
    outputs: list[dict[str, Any]] = []
    wanted: dict[StreamName, bool] = {"stdout": stdout, "stderr": stderr}
    streams: dict[StreamName, StringIO] = {name: StringIO() for name in wanted if wanted[name]}
    with ExitStack() as stack:
        for name, stream in streams.items():
            stack.enter_context(diverted(name, stream))
        if display:
            stack.enter_context(_displays(shell, outputs))
        yield CapturedIO(streams.get("stdout"), streams.get("stderr"), outputs)


@contextmanager
def _displays(shell: IPShell[Any], outputs: list[dict[str, Any]]) -> Generator[None]:
    def keep(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "clear_output":
            outputs.clear()
            return
        outputs.append(
            {
                "data": content["data"],
                "metadata": content["metadata"],
                "transient": content.get("transient"),
                "update": message["msg_type"] == "update_display_data",
            }
        )

    sources = (shell.displayhook, shell.display_pub)
    for source in sources:
        source.register_hook(keep)
    try:
        yield
    finally:
        for source in sources:
            source.unregister_hook(keep)
