"""What ``--help-all`` says: every option with its help, which may stand below the trait as a docstring.

A trait is documented where its class is written::

    quiet = Bool(True).tag(config=True)
    "Whether output goes to clients only."

Python throws such strings away, so they are read from the source when help is asked for, and only then. Options that
IPython and jupyter_client leave unexplained are explained here.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from typing import TYPE_CHECKING

from traitlets.config import Configurable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["attribute_docs", "fill_in_help", "parts_of_ipython"]

_PARTS_OF_IPYTHON = (
    "IPython.core.completer.IPCompleter",
    "IPython.core.displayhook.DisplayHook",
    "IPython.core.formatters.PlainTextFormatter",
    "IPython.core.history.HistoryManager",
    "IPython.core.magics.logging.LoggingMagics",
    "IPython.core.magics.script.ScriptMagics",
)
"""Classes of IPython's that users configure, and that no interface lists since the shell makes them."""

_FOREIGN = {
    "BaseFormatter": {
        "deferred_printers": "Printers for types that are not imported yet, by (module, type name).",
        "enabled": "Whether results are shown in this form.",
        "singleton_printers": "Printers for single objects, by their id.",
        "type_printers": "Printers for types.",
    },
    "PlainTextFormatter": {
        "deferred_printers": "Printers for types that are not imported yet, by (module, type name).",
        "float_precision": "How floats are written: a number of decimals or a format such as '%.3e'.",
        "max_width": "The number of characters after which a result is broken into lines.",
        "newline": "What stands between the lines of a result.",
        "pprint": "Whether results are pretty-printed.",
        "singleton_printers": "Printers for single objects, by their id.",
        "type_printers": "Printers for types.",
        "verbose": "Whether results are printed with more detail.",
    },
    "BaseIPythonApplication": {
        "add_ipython_dir_to_sys_path": "Whether the IPython folder is put on sys.path.",
    },
    "InteractiveShell": {
        "debug": "Whether the shell writes about itself.",
        "ipython_dir": "The folder with IPython's profiles.",
        "object_info_string_level": "How much of an object's string form is shown when it is inspected.",
        "quiet": "Whether results are not shown.",
        "separate_in": "What a terminal shows before an input prompt.",
        "separate_out": "What a terminal shows before a result.",
        "separate_out2": "What a terminal shows after a result.",
        "wildcards_case_sensitive": "Whether %psearch tells upper case from lower case.",
    },
}
"""Help for options that come without, by class and name."""


def parts_of_ipython() -> list[type[Configurable]]:
    """The configurable parts of an IPython shell; none if there is no IPython in this process."""
    if "IPython.core.interactiveshell" not in sys.modules:
        return []
    parts: list[type[Configurable]] = []
    for name in _PARTS_OF_IPYTHON:
        module, _, attribute = name.rpartition(".")
        part = getattr(importlib.import_module(module), attribute)
        if part.class_own_traits(config=True):
            parts.append(part)
    return parts


def fill_in_help(classes: Iterable[type[Configurable]]) -> None:
    """Give every trait without help the docstring below it; for good, since traits belong to their class."""
    done: set[type] = set()
    for cls in classes:
        for parent in cls.__mro__:
            if parent in done or not issubclass(parent, Configurable):
                continue
            done.add(parent)
            traits = parent.class_own_traits()
            if any(not trait.help for trait in traits.values()):
                docs = _FOREIGN.get(parent.__name__, {}) | attribute_docs(parent)
                for name, trait in traits.items():
                    trait.help = trait.help or docs.get(name, "")


def attribute_docs(cls: type) -> dict[str, str]:
    """The string below each assignment of a class, by the assigned name; empty if the class's source is not there."""
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    if not isinstance(tree, ast.ClassDef):
        return {}
    docs: dict[str, str] = {}
    for statement, below in zip(tree.body, tree.body[1:], strict=False):
        match statement, below:
            case (
                ast.Assign(targets=[ast.Name(name)]) | ast.AnnAssign(target=ast.Name(name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = inspect.cleandoc(text)
            case _:
                pass
    return docs
