"""Payloads: what an execute_reply asks its client to do, beside showing the outputs.

A page for the pager, the text of the next cell, a file to edit, to leave. They belong to the run that is on in the
context in which they are written, so concurrent cells keep theirs apart; written outside every run they go nowhere.
(https://jupyter-client.readthedocs.io/en/stable/messaging.html#payloads-deprecated)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from async_kernel.shell.ipython import PayloadManager
from async_kernel.shell.running.runs import current_run

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CellPayloads", "ask_exit", "edit", "page", "set_next_input"]


class CellPayloads(PayloadManager):
    """IPython's payload manager, with a list for each run."""

    def write_payload(self, data: dict[str, Any], single: bool = True) -> None:
        """Add ``data`` to the reply of the run; with ``single``, in the place of one with the same source.

        Raises:
            TypeError: if it is not a dict.
        """
        if not isinstance(data, dict):  # pyright: ignore[reportUnnecessaryIsInstance] -- called by any extension
            msg = f"a payload must be a dict, not {type(data).__name__}"
            raise TypeError(msg)
        payloads = self.read_payload()
        if single and "source" in data:
            for index, earlier in enumerate(payloads):
                if earlier.get("source") == data["source"]:
                    payloads[index] = data
                    return
        payloads.append(data)

    def read_payload(self) -> list[dict[str, Any]]:
        """The payloads of the run."""
        run = current_run.get()
        return [] if run is None else run.payloads

    def clear_payload(self) -> None:
        """Take back what the run has asked for."""
        self.read_payload().clear()


def page(data: str | Mapping[str, Any], start: int = 0) -> dict[str, Any]:
    """Show text, or a bundle of MIME types, in the client's pager, from line ``start``."""
    bundle = dict(data) if not isinstance(data, str) else {"text/plain": data}
    return {"source": "page", "data": bundle, "start": max(0, start)}


def set_next_input(text: str, *, replace: bool) -> dict[str, Any]:
    """Put ``text`` in the next cell, or in the place of this one."""
    return {"source": "set_next_input", "text": text, "replace": replace}


def edit(filename: str, line: int | None) -> dict[str, Any]:
    """Open a file in the client's editor."""
    return {"source": "edit_magic", "filename": filename, "line_number": line}


def ask_exit(*, keep_kernel: bool) -> dict[str, Any]:
    """Leave; the client stops the kernel unless it is to be kept."""
    return {"source": "ask_exit", "keepkernel": keep_kernel}
