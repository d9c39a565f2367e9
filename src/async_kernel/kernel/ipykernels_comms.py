"""Comms that libraries make by ipykernel: bokeh's ``push_notebook``, panel, holoviews.

Those are older than the ``comm`` package and import ``ipykernel.comm.Comm``, which asks that package for the manager of
comms, as all comms do, but sends through the kernel of ipykernel; where there is none, it sends nothing and says so to
nobody. :func:`speaks_for_ipykernel` tells such a comm when it is registered, for it to be given a voice. Importing more
of ipykernel replaces the two functions of the ``comm`` package, so that from then on no widget would be heard:
:func:`functions_of_comm` keeps them.

Nothing here imports ipykernel.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import comm

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["functions_of_comm", "speaks_for_ipykernel"]

_IPYKERNEL = "ipykernel."


def speaks_for_ipykernel(other: object) -> bool:
    """Whether a comm sends through the kernel of ipykernel."""
    return _is_of_ipykernel(getattr(type(other), "publish_msg", None))


def _is_of_ipykernel(fn: object) -> bool:
    return str(getattr(fn, "__module__", "")).startswith(_IPYKERNEL)


@contextmanager
def functions_of_comm(**functions: Callable[..., Any]) -> Generator[None]:
    """While open, functions of the ``comm`` package are these, unless others than ipykernel replace them.

    Those from before are back afterwards, or those that ipykernel has set meanwhile.
    """
    package: Any = comm
    attributes: dict[str, Any] = package.__dict__
    later = {name: attributes[name] for name in functions}

    class Kept(ModuleType):
        def __setattr__(self, name: str, value: Any) -> None:
            if name in later and _is_of_ipykernel(value):
                later[name] = value
            else:
                super().__setattr__(name, value)

    attributes.update(functions)
    package.__class__ = Kept
    try:
        yield
    finally:
        package.__class__ = ModuleType
        attributes.update(later)
