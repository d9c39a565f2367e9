"""Answers to questions about code: complete, inspect, is_complete, history.

Plain functions over a shell, called in a helper thread, also while a cell runs. Positions count unicode characters.
"""

from __future__ import annotations

import threading
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from IPython.utils.tokenutil import token_at_cursor

from async_kernel.lifetime.late_import import late_import
from async_kernel.shell.showing.json_ready import json_ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.completer import Completion

    from async_kernel.shell.ipshell import IPShell
    from async_kernel.typing import Content

__all__ = ["HasCompleter", "complete", "history", "inspect", "is_complete", "take_back_filter"]

LONGEST_LINE: Final = 5_000
"""Characters before the cursor in its line behind which nothing is completed: IPython searches them with patterns that
take time by the square, with the GIL held. For 5000 it is some milliseconds each; behind a picture in Base64 nothing in
the kernel would move for minutes.
"""

_making = threading.Lock()

_filters: list[Any] = []
"""What :func:`complete` has put before the process's warning filters."""


class HasCompleter:
    """The part of a shell that has IPython's completer, made when it is first wanted.

    Most kernels of scripts and tests never complete; with the modules that it needs it takes 5 ms of a start and half a
    megabyte.
    """

    def init_completer(self) -> None:
        """Nothing yet."""

    @cached_property
    def Completer(self) -> Any:  # noqa: N802 -- IPython's name
        """What completes; any thread may be the first that wants it."""
        with _making:
            if "Completer" not in vars(self):
                late_import("IPython.core.completerlib")  # which imports the other one
                base: Any = super()
                base.init_completer()  # sets this very attribute
                _let_blank_lines_pass(vars(self)["Completer"])
            return vars(self)["Completer"]


def _let_blank_lines_pass(completer: Any) -> None:
    """Have what completes names of files accept a line of blanks.

    It raises for one (IPython 9.18), and IPython shows the traceback to whoever has asked: consoles print it.
    """
    extract: Callable[[str], str] | None = getattr(completer, "_extract_code", None)
    if extract is None:
        return

    def extract_from_more(line: str) -> str:
        return extract(line) if line.strip() else line

    completer._extract_code = extract_from_more  # noqa: SLF001 -- see above


def complete(shell: IPShell[Any], code: str, cursor_pos: int) -> Content:
    """The content of a complete_reply; nothing is found behind :data:`LONGEST_LINE` characters of a line."""
    found: list[Completion] = []
    if cursor_pos - (code.rfind("\n", 0, cursor_pos) + 1) <= LONGEST_LINE:
        completer, module = shell.Completer, late_import("IPython.core.completer")
        _allow(module.ProvisionalCompleterWarning)
        found = list(module.rectify_completions(code, completer.completions(code, cursor_pos)))
    return {
        "status": "ok",
        "matches": [completion.text for completion in found],
        "cursor_start": found[0].start if found else cursor_pos,
        "cursor_end": found[0].end if found else cursor_pos,
        "metadata": {"_jupyter_types_experimental": [_described(completion) for completion in found]},
    }


def _allow(warning: type[Warning]) -> None:
    """Ignore the warning that IPython makes an error, so that whoever uses the completer allows it on purpose.

    The filter stays: one that is there only for each use would be taken back in this thread from under a cell that
    changes the process's filters in another.
    """
    ignored = ("ignore", None, warning, None, 0)
    if ignored not in warnings.filters[:1]:
        warnings.filterwarnings("ignore", category=warning)
        _filters[:] = [ignored]


def take_back_filter() -> None:
    """Undo what :func:`complete` has done to the process's warning filters."""
    while _filters:
        ignored = _filters.pop()
        if ignored in warnings.filters:
            cast("list[Any]", warnings.filters).remove(ignored)


def _described(completion: Completion) -> Content:
    return {
        "start": completion.start,
        "end": completion.end,
        "text": completion.text,
        "type": completion.type,
        "signature": completion.signature,
    }


def inspect(
    shell: IPShell[Any], code: str, cursor_pos: int, detail_level: int = 0, omit_sections: tuple[str, ...] = ()
) -> Content:
    """The content of an inspect_reply; ``found`` is false for what is no object."""
    name = token_at_cursor(code, cursor_pos)
    data: dict[str, Any] = {}
    if name:
        try:
            data = shell.object_inspect_mime(name, detail_level=detail_level, omit_sections=omit_sections)
        except KeyError:
            data = {}
        if not shell.enable_html_pager:
            data.pop("text/html", None)
    return {"status": "ok", "found": bool(data), "data": json_ready(data), "metadata": {}}


def is_complete(shell: IPShell[Any], code: str) -> Content:
    """The content of an is_complete_reply."""
    status, indent = shell.check_complete(code)
    return {"status": status, **({"indent": indent} if status == "incomplete" else {})}


def history(
    shell: IPShell[Any],
    *,
    hist_access_type: str,
    raw: bool = True,
    output: bool = False,
    session: int = 0,
    start: int = 1,
    stop: int | None = None,
    n: int | None = None,
    pattern: str | None = None,
    unique: bool = False,
    **_: object,
) -> Content:
    """The content of a history_reply: a list of (session, line, input) or (session, line, (input, output))."""
    manager = shell.history_manager
    if hist_access_type == "tail":
        lines = manager.get_tail(n, raw=raw, output=output, include_latest=True)
    elif hist_access_type == "range":
        # lines count from 1; clients that do not care send 0; a negative one counts from the end
        lines = manager.get_range(session, start or 1, stop, raw=raw, output=output)
        if session == manager.session_number:
            # IPython calls the session that runs 0 here; who asks for it by its number finds it under that.
            lines = [(session, *line[1:]) for line in lines]
    else:
        lines = manager.search(pattern or "*", raw=raw, output=output, n=n, unique=unique)
    return {"status": "ok", "history": [list(cast("tuple[Any, ...]", line)) for line in lines]}
