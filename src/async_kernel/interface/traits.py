"""Kinds of traits that the interface's options need beyond those of traitlets."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

import traitlets

__all__ = ["ChoiceEnum", "DictValueLiteralEval"]


if TYPE_CHECKING:
    Dict = traitlets.Dict[Any, Any]
else:
    Dict = traitlets.Dict  # not generic at run time


class ChoiceEnum(traitlets.UseEnum):
    """One of the values of an Enum, said in help by what a user writes."""

    def default_value_repr(self) -> str:
        """The default for help."""
        return repr(getattr(self.default_value, "value", self.default_value))


class DictValueLiteralEval(Dict):
    """A Dict trait whose command-line values are read as Python literals where they are one."""

    def from_string_list(self, s_list: list[str]) -> Any:
        """The dict of ``key=value`` items."""
        items: Any = super().from_string_list(s_list)
        return {key: _literal(value) for key, value in items.items()}


def _literal(value: Any) -> Any:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
