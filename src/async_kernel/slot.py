"""The one slot: which interface this process has, and the mixin of everything that belongs to it.

A process has at most one interface at a time. Whoever is configured by it (kernels, shells, sessions)
mixes in :class:`HasInterface`, gets the interface as ``parent`` and its ``config``, and is listed for
``--help-all``. The interface itself lives floors above; down here it is only an object in a slot.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from traitlets.config import Configurable

if TYPE_CHECKING:
    from traitlets.config import Config

__all__ = ["HasInterface", "InterfaceSlot", "configurable_classes", "slot"]

T_interface_co = TypeVar("T_interface_co", covariant=True)

configurable_classes: list[type[Configurable]] = []
"""Every Configurable that mixes in HasInterface, newest first; the interface's ``classes``."""


class InterfaceSlot:
    """Holds the process's interface; taking it twice is refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._interface: Any = None

    def get(self) -> Any:
        """The interface, or None."""
        return self._interface

    def take(self, interface: object) -> None:
        """Claim the slot.

        Raises:
            RuntimeError: if another interface has it.
        """
        with self._lock:
            if self._interface is not None and self._interface is not interface:
                msg = f"An interface already exists in this process: {self._interface!r}. Stop it first."
                raise RuntimeError(msg)
            self._interface = interface

    def release(self, interface: object) -> None:
        """Give the slot back; does nothing if somebody else has it."""
        with self._lock:
            if self._interface is interface:
                self._interface = None


slot: InterfaceSlot = InterfaceSlot()


class HasInterface(Generic[T_interface_co]):
    """Mixin of objects that belong to the process's interface.

    ``parent`` is the interface that existed when the object was made (held weakly) and ``config`` is the
    interface's. Writing either is ignored, since traitlets writes them while it constructs.

    Raises:
        RuntimeError: when an instance is made while there is no interface.
        TypeError: when a subclass resolves ``parent`` or ``config`` to something else.
    """

    _interface_ref: weakref.ref[Any] | None = None
    _owned_names: ClassVar[tuple[str, ...]] = ("parent", "config")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        lost = [name for name in HasInterface._owned_names if getattr(cls, name) is not getattr(HasInterface, name)]
        if len(lost) == len(HasInterface._owned_names):
            msg = (
                f"{cls.__name__}: 'parent' and 'config' are not those of HasInterface. "
                "Tip: make HasInterface the left-most base."
            )
            raise TypeError(msg)
        if lost:
            msg = f"{cls.__name__}: {lost[0]!r} is not that of HasInterface and must not be replaced."
            raise TypeError(msg)
        if issubclass(cls, Configurable):
            configurable_classes.insert(0, cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: D102 -- the class says it
        interface = slot.get()
        if interface is None:
            msg = f"{cls.__name__} belongs to an interface and there is none: make it inside `async with Interface()`."
            raise RuntimeError(msg)
        new = super().__new__
        self: Any = new(cls) if new is object.__new__ else new(cls, *args, **kwargs)
        object.__setattr__(self, "_interface_ref", weakref.ref(interface))
        return self

    @property
    def parent(self) -> T_interface_co:
        """The interface; None only after its collection."""
        return self._interface_ref() if self._interface_ref is not None else None  # pyright: ignore[reportReturnType] -- documented

    @parent.setter
    def parent(self, value: object) -> None: ...

    @property
    def config(self) -> Config:
        """The interface's configuration."""
        return self.parent.config  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] -- any Application

    @config.setter
    def config(self, value: object) -> None: ...
