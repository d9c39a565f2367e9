"""The rule that a process has one interface at a time, a mixin of the base of all interfaces.

An interface takes the slot (:data:`async_kernel.slot.slot`) before its ``__init__`` runs, so that whatever belongs to
it can be made there; when that fails, in whichever class, the slot is free again. Otherwise its end gives it back.
"""

from __future__ import annotations

from typing import Any, Self

from traitlets.config import Application

from async_kernel.slot import slot
from async_kernel.typing import NoValue

__all__ = ["OneOfProcess"]


class _InterfaceMeta(type(Application)):
    """Gives the slot back when making an interface fails, in whichever ``__init__``."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        before = slot.get()
        try:
            return super().__call__(*args, **kwargs)
        except BaseException:
            taken = slot.get()
            if taken is not before:
                slot.release(taken)
            raise


class OneOfProcess(metaclass=_InterfaceMeta):
    """An application of which a process has one, whatever its class. Must be the left-most base."""

    def __new__(cls, argv: Any = NoValue, /, **kwargs: Any) -> Self:  # noqa: D102 -- the class says it
        self = super().__new__(cls)
        slot.take(self)
        return self

    @classmethod
    def initialized(cls) -> bool:
        """Whether the process has an interface."""
        return slot.get() is not None

    @classmethod
    def instance(cls, *args: Any, **kwargs: Any) -> Self:
        """The interface of the process; never makes one.

        Raises:
            RuntimeError: if there is none.
            TypeError: if it is of another class.
        """
        interface = slot.get()
        if interface is None:
            msg = f"An instance of {cls.__name__} does not exist."
            raise RuntimeError(msg)
        if not isinstance(interface, cls):
            msg = f"The interface of this process is a {type(interface).__name__}, not a {cls.__name__}."
            raise TypeError(msg)
        return interface

    @classmethod
    def clear_instance(cls) -> None:
        """Not supported: an interface leaves by stopping."""
        msg = "stop the interface instead"
        raise NotImplementedError(msg)
