"""IPython, as this package takes it.

IPython declares few of its types, so a checker finds nothing in what is inherited from it or called in it. Here are
all its names that the shell uses, for the checker declared to be anything: what is ours stays checked, what is
IPython's is covered by tests. Names that are expensive to import are imported where they are used.

``ShellPart`` is what a part of IPShell's class inherits from: it stands for IPython's shell, which is beside it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class _OfIPython:
        """A class to inherit from; to a checker, its objects have whatever they are asked for."""

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def __new__(cls, *args: Any, **kwargs: Any) -> Any: ...
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    AutoFormattedTB = _OfIPython
    BuiltinTrap = _OfIPython
    DisplayHook = _OfIPython
    DisplayPublisher = _OfIPython
    DisplayTrap = _OfIPython
    HistoryManager = _OfIPython
    InteractiveShell = _OfIPython
    Magics = _OfIPython
    PayloadManager = _OfIPython
    ShellPart = _OfIPython

    CapturingDisplayHook: Any
    ExecutionInfo: Any
    ExecutionResult: Any
    HistoryAccessor: Any
    HistoryOutput: Any
    TransformerManager: Any
    ZMQExitAutocall: Any
    cell_magic: Any
    configured_script_magics: Any
    display: Any
    line_cell_magic: Any
    line_magic: Any
    magic_arguments: Any
    magics_class: Any
    needs_local_scope: Any
    no_var_expand: Any
    page: Any
    register_timestamps: Any
else:
    from IPython.core import magic_arguments, page
    from IPython.core.autocall import ZMQExitAutocall
    from IPython.core.builtin_trap import BuiltinTrap
    from IPython.core.display_trap import DisplayTrap
    from IPython.core.displayhook import CapturingDisplayHook, DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.history import HistoryAccessor, HistoryManager, HistoryOutput
    from IPython.core.history import _sqlite3 as register_timestamps
    from IPython.core.inputtransformer2 import TransformerManager
    from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult, InteractiveShell
    from IPython.core.magic import (
        Magics,
        cell_magic,
        line_cell_magic,
        line_magic,
        magics_class,
        needs_local_scope,
        no_var_expand,
    )
    from IPython.core.magics import configured_script_magics
    from IPython.core.payload import PayloadManager
    from IPython.core.ultratb import AutoFormattedTB
    from IPython.display import display

    ShellPart = object  # traitlets goes through all that a subclass of the shell has, which takes most of a millisecond

__all__ = [
    "AutoFormattedTB",
    "BuiltinTrap",
    "CapturingDisplayHook",
    "DisplayHook",
    "DisplayPublisher",
    "DisplayTrap",
    "ExecutionInfo",
    "ExecutionResult",
    "HistoryAccessor",
    "HistoryManager",
    "HistoryOutput",
    "InteractiveShell",
    "Magics",
    "PayloadManager",
    "ShellPart",
    "TransformerManager",
    "ZMQExitAutocall",
    "cell_magic",
    "configured_script_magics",
    "display",
    "line_cell_magic",
    "line_magic",
    "magic_arguments",
    "magics_class",
    "needs_local_scope",
    "no_var_expand",
    "page",
    "register_timestamps",
]
