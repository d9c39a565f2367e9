"""Small tools without a home of their own: attributes that are made once, and names of the reference's ``common``.

Knows nothing of the rest of the package.
"""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Self, TypedDict, TypeVar, cast, overload

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LAUNCHED_BY_DEBUGPY",
    "PACKAGE_FOLDER",
    "Fixed",
    "FixedCreate",
    "FixedCreated",
    "KernelInterrupt",
    "MethodNotSupported",
    "import_item",
]

PACKAGE_FOLDER = str(Path(__file__).parent)
"""What the file names of this package begin with: how tracebacks know the kernel's own frames."""

LAUNCHED_BY_DEBUGPY: Final = "pydevd" in sys.modules
"""Whether a debugger had started this process when this package was imported."""

S = TypeVar("S")
T = TypeVar("T")

KernelInterrupt = KeyboardInterrupt
"""What an interrupt raises in a cell. Here it is Python's own; the name is for code that catches it under this one."""


class MethodNotSupported(Exception):  # noqa: N818 -- the documented name
    """A method of a base class that makes no sense here."""


def import_item(dotted: str, /) -> Any:
    """Import what a dotted name stands for: ``package.module.attribute``, or a module.

    Raises:
        ImportError: if there is no such thing.
    """
    module_name, _, name = dotted.rpartition(".")
    if not module_name:
        return import_module(dotted)
    module = import_module(module_name)
    try:
        return getattr(module, name)
    except AttributeError:
        return import_module(dotted)  # a submodule that nobody has imported yet


class FixedCreate(TypedDict):
    """What the maker of a :class:`Fixed` attribute is told: the attribute's name and whose it is."""

    name: str
    owner: Any


class FixedCreated(FixedCreate):
    """What is told when a :class:`Fixed` attribute has been made: ``obj`` is its value."""

    obj: Any


class Fixed(Generic[S, T]):
    """An attribute that is made when it is first looked at, and then stays.

    It is made once for each instance, whichever threads ask for it, and lives as long as the instance.
    Makers run one at a time in the whole process, so they must not wait for other threads.

    Args:
        obj: makes the value: a class (called without arguments), a function without arguments, a function of one
            argument (:class:`FixedCreate`), or the dotted name of one of these, imported when it is first needed.
        created: called once with the value (:class:`FixedCreated`), before anybody else sees it.
        mode: what happens when the attribute is set or deleted: ``raise`` an AttributeError, ``log`` a warning, or
            ``ignore`` it.

    Raises:
        TypeError: if ``obj`` is none of these; from looking at the attribute if a dotted name stands for nothing that
            can be called, or if the instance has no ``__dict__``.
        RuntimeError: from looking at the attribute while it is being made.

    >>> class Owner:
    ...     items = Fixed(list)
    >>> owner = Owner()
    >>> owner.items is owner.items
    True
    """

    def __init__(
        self,
        obj: type[T] | Callable[[], T] | Callable[[FixedCreate], T] | str,
        /,
        *,
        created: Callable[[FixedCreated], object] | None = None,
        mode: Literal["raise", "ignore", "log"] = "raise",
    ) -> None:
        if not callable(obj) and not isinstance(obj, str):  # pyright: ignore[reportUnnecessaryIsInstance] -- anything is given
            msg = f"{obj!r} makes nothing: give a class, a function, or the dotted name of one."
            raise TypeError(msg)
        if mode not in ("raise", "ignore", "log"):
            msg = f"mode is {mode!r}; it must be 'raise', 'ignore' or 'log'."
            raise ValueError(msg)
        self._maker: Any = obj
        self._created = created
        self._mode = mode
        self._name = ""

    def __set_name__(self, owner: type[S], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type[S], /) -> Self: ...
    @overload
    def __get__(self, instance: S, owner: type[S] | None = None, /) -> T: ...
    def __get__(self, instance: S | None, owner: type[S] | None = None, /) -> Self | T:
        if instance is None:
            return self
        try:
            return cast("T", vars(instance)[self._name])
        except KeyError:
            return self._make(instance)

    def _make(self, instance: S) -> T:
        values = vars(instance)
        with _making:
            if self._name in values:  # another thread has made it meanwhile
                return values[self._name]
            key = (id(instance), self._name)
            if key in _being_made:
                msg = f"{self._name!r} of a {type(instance).__name__} was needed to make itself."
                raise RuntimeError(msg)
            _being_made.add(key)
            try:
                value = self._call(instance)
                if self._created is not None:
                    self._created({"name": self._name, "owner": instance, "obj": value})
                values[self._name] = value
            finally:
                _being_made.discard(key)
        return value

    def _call(self, instance: S) -> T:
        if isinstance(self._maker, str):
            self._maker = _callable(self._maker)
        if inspect.isclass(self._maker) or not _takes_one(self._maker):
            return cast("T", self._maker())
        return cast("T", self._maker(FixedCreate(name=self._name, owner=instance)))

    def __set__(self, instance: S, value: object) -> None:
        self._refuse(instance, "set")

    def __delete__(self, instance: S) -> None:
        self._refuse(instance, "deleted")

    def _refuse(self, instance: S, what: str) -> None:
        msg = f"{self._name!r} of a {type(instance).__name__} is fixed: it cannot be {what}."
        if self._mode == "raise":
            raise AttributeError(msg, name=self._name, obj=instance)
        if self._mode == "log":
            _log.warning("%s", msg)


def _callable(dotted: str) -> Any:
    found = import_item(dotted)
    if not callable(found):
        msg = f"{dotted!r} makes nothing: it is a {type(found).__name__}."
        raise TypeError(msg)
    return found


def _takes_one(maker: Callable[..., object]) -> bool:
    try:
        inspect.signature(maker).bind()
    except TypeError:
        return True
    except ValueError:  # a builtin that does not say
        return False
    return False


_making = threading.RLock()
_being_made: set[tuple[int, str]] = set()
_log = logging.getLogger("async_kernel")
