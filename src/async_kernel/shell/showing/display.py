"""What cells display: ``execute_result``, ``display_data``, ``update_display_data``, ``clear_output``.

:class:`CellDisplayHook` takes the value of a cell's last expression, :class:`CellDisplayPublisher` what
``display()`` and its like publish. Both send to the cell of the context they are called in. What the user's reprs
return is made fit for JSON only when it turns out not to be: a repr may return anything without breaking a message.

Hooks (``register_hook``) see every message of the context they were registered in, and may change it or keep it by
returning None.
"""

from __future__ import annotations

import tokenize
import uuid
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from traitlets import Bool

from async_kernel.protocol.request import current_request
from async_kernel.shell.ipython import DisplayHook, DisplayPublisher, HistoryOutput
from async_kernel.shell.running.runs import current_run
from async_kernel.shell.showing.json_ready import json_ready, mime_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from async_kernel.shell.ipshell import IPShell
    from async_kernel.typing import Content

__all__ = ["CellDisplayHook", "CellDisplayPublisher", "Outlet"]

Hook = "Callable[[dict[str, Any]], dict[str, Any] | None]"


class Outlet:
    """Publishes messages of the running cell, through the hooks of the context."""

    def __init__(self, shell: IPShell[Any], name: str) -> None:
        self._shell = shell
        self._hooks: ContextVar[tuple[Any, ...]] = ContextVar(f"async_kernel_{name}_hooks", default=())

    def add(self, hook: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """Have ``hook`` called for what this context, and contexts made from it, publish from now on."""
        self._hooks.set((*self._hooks.get(), hook))

    def remove(self, hook: Callable[[dict[str, Any]], dict[str, Any] | None]) -> bool:
        """Undo :meth:`add`; False if it was not there."""
        hooks = self._hooks.get()
        if hook not in hooks:
            return False
        at = len(hooks) - 1 - hooks[::-1].index(hook)
        self._hooks.set(hooks[:at] + hooks[at + 1 :])
        return True

    def send(self, msg_type: str, content: Content) -> None:
        """Publish a message with the running cell as its parent."""
        request = current_request.get()
        parent: Mapping[str, Any] | None
        if request is None:
            parent = self._shell.fallback_parent()
        else:
            parent = request.error_header if msg_type == "error" else request.header
        metadata: Mapping[str, Any] | None = None
        hooks = self._hooks.get()
        if hooks:
            message: dict[str, Any] = {
                "header": {
                    "msg_id": str(uuid.uuid4()),
                    "msg_type": msg_type,
                    "session": (parent or {}).get("session", ""),
                },
                "msg_type": msg_type,
                "parent_header": dict(parent or {}),
                "metadata": {},
                "content": content,
            }
            for hook in hooks:
                changed = hook(message)
                if changed is None:
                    return
                message = changed
            msg_type, content, metadata = message["msg_type"], message["content"], message["metadata"]
        try:
            self._shell.wire.publish(msg_type, content, parent=parent, metadata=metadata)
        except (TypeError, ValueError, OverflowError, RecursionError):
            self._shell.wire.publish(msg_type, json_ready(content), parent=parent, metadata=json_ready(metadata))


class CellDisplayHook(DisplayHook):
    """Shows the value of a cell's last expression and keeps it as ``_`` and in ``Out``."""

    shell: IPShell[Any]

    def __init__(self, **kwargs: Any) -> None:
        base: Any = super()
        base.__init__(**kwargs)
        self._outlet = Outlet(self.shell, "displayhook")

    def register_hook(self, hook: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """See every ``execute_result`` of this context before it is sent; returning None keeps it."""
        self._outlet.add(hook)

    def unregister_hook(self, hook: Callable[[dict[str, Any]], dict[str, Any] | None]) -> bool:
        """Undo :meth:`register_hook`; False if it was not registered in this context."""
        return self._outlet.remove(hook)

    @property
    def prompt_count(self) -> int:
        """The number of the cell that runs."""
        run = current_run.get()
        return run.number if run is not None else self.shell.execution_count - 1

    def quiet(self) -> bool:
        """Whether the cell's code ends with a semicolon, unless the cell has said what it wants."""
        run = current_run.get()
        if run is not None and run.shows_result is not None:
            return not run.shows_result
        source = run.source if run is not None else ""
        if ";" not in source:
            return False
        try:
            return self.semicolon_at_end_of_expression(source)
        except (tokenize.TokenError, SyntaxError):
            return False

    def __call__(self, result: Any = None) -> None:
        """Show ``result``, unless it is None or silenced."""
        self.check_for_underscore()
        run = current_run.get()
        if result is None or (run is not None and run.silent) or self.quiet():
            return
        data, metadata = self.compute_format_data(result)
        self.shell.user_ns.setdefault("_oh", self.shell.history_manager.output_hist)
        self.update_user_ns(result)
        if run is not None:
            run.result.result = result
        if data:
            content = {"execution_count": self.prompt_count, "data": mime_ready(data), "metadata": metadata}
            self._outlet.send("execute_result", content)
            self.log_output(data)

    def log_output(self, format_dict: dict[str, Any]) -> None:
        """Remember the output as the history and ``%logstart -o`` want it."""
        text = format_dict.get("text/plain")
        if self.shell.display_pub.store_display_history:
            self.shell.history_manager.outputs[self.prompt_count].append(
                HistoryOutput(output_type="execute_result", bundle=format_dict)
            )
        if isinstance(text, str):
            self.shell.history_manager.output_hist_reprs[self.prompt_count] = text
            if self.shell.logs_session and self.shell.logger.log_output:
                self.shell.logger.log_write(text, "output")


class CellDisplayPublisher(DisplayPublisher):
    """Publishes what ``display()`` shows to the client of the cell."""

    store_display_history: Bool[bool, bool | int] = Bool(False).tag(config=True)
    "Keep all that is displayed in memory, for %notebook; off because it never is forgotten."

    shell: IPShell[Any]

    def __init__(self, shell: IPShell[Any], **kwargs: Any) -> None:
        base: Any = super()
        base.__init__(shell=shell, **kwargs)
        self._outlet = Outlet(shell, "display_pub")

    def _setup_execution_tracking(self) -> None:
        """Nothing: what is displayed belongs to the run of its context."""

    def register_hook(self, hook: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """See every message that this context publishes before it is sent; returning None keeps it."""
        self._outlet.add(hook)

    def unregister_hook(self, hook: Callable[[dict[str, Any]], dict[str, Any] | None]) -> bool:
        """Undo :meth:`register_hook`; False if it was not registered in this context."""
        return self._outlet.remove(hook)

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        source: object = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **kwargs: Any,
    ) -> None:
        """Publish a bundle of MIME types, or with ``update`` what replaces an earlier one of the same display_id.

        Raises:
            TypeError: if ``data`` or ``metadata`` is not a dict.
        """
        self._validate_data(data, metadata)
        if self.store_display_history:
            run = current_run.get()
            number = run.number if run is not None else self.shell.execution_count - 1
            self.shell.history_manager.outputs[number].append(HistoryOutput(output_type="display_data", bundle=data))
        content = {"data": mime_ready(data), "metadata": metadata or {}, "transient": transient or {}}
        self._outlet.send("update_display_data" if update else "display_data", content)

    def clear_output(self, wait: bool = False) -> None:
        """Clear the cell's output now, or with ``wait`` when the next output comes."""
        self._outlet.send("clear_output", {"wait": bool(wait)})
