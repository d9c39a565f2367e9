"""What ``--help-all`` says: every option with its help, which may stand below the trait as a docstring.

A trait is documented where its class is written::

    quiet = Bool(True).tag(config=True)
    "Whether output goes to clients only."

Python throws such strings away, so they are read from the source when help is asked for, and only then. Options that
IPython and jupyter_client leave unexplained are explained here.

Each option stands once, at the class that brings it, and ours come before those of the libraries.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from traitlets.config import Configurable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from traitlets import TraitType

__all__ = ["CLASS_OPTIONS", "OPTIONS", "attribute_docs", "class_help", "fill_in_help", "parts_of_ipython"]

OPTIONS = """
Each of these is short for an option of a class, which stands after "Equivalent to".
async-kernel --help-all describes all options of all classes.
"""

CLASS_OPTIONS = """
Each option of a class is set by its full name:

    --Class.option=value

A list is given item by item, by the option again and again; a dictionary by items
key=value. Configuration files say c.Class.option = value, with any value of Python.
An option goes to all classes that are made of its class, too: these have it in
parentheses behind their name.
"""

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


def class_help(classes: Iterable[type[Configurable]]) -> Iterator[str]:
    """The options of classes, each where it comes from."""
    listed = list(classes)
    for cls in sorted(listed, key=lambda cls: not cls.__module__.startswith("async_kernel.")):
        own = [
            trait
            for _, trait in sorted(cls.class_traits(config=True).items())
            if not any(_brings(other, cls, trait) for other in listed)
        ]
        if own:
            above = [each for each in cls.__mro__[1:] if each in listed]
            nearest = [each for each in above if sum(issubclass(other, each) for other in above) == 1]
            parents = ", ".join(each.__name__ for each in nearest)
            title = f"{cls.__name__}({parents}) options" if parents else f"{cls.__name__} options"
            yield from (title, "-" * len(title), *map(cls.class_get_trait_help, own), "")


def _brings(other: type[Configurable], cls: type[Configurable], trait: TraitType[Any, Any]) -> bool:
    """Whether another class is where ``cls`` has a trait from."""
    inherited = other is not cls and issubclass(cls, other) and trait.name in other.class_traits(config=True)
    return inherited and trait.this_class is not cls


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
