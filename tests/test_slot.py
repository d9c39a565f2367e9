"""The process's interface, and what belongs to it."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
from traitlets import Int
from traitlets.config import Config, Configurable

from async_kernel.interface.base import BaseInterface
from async_kernel.slot import HasInterface, slot

if TYPE_CHECKING:
    from collections.abc import Generator


class Owner(Configurable):
    """Stands for an interface."""


class Plain(HasInterface[Any]):
    def __init__(self, value: int) -> None:
        self.value = value


class Configured(HasInterface[Any], Configurable):
    size = Int(1).tag(config=True)


@pytest.fixture
def owner() -> Generator[Owner]:
    owner = Owner(config=Config({"Configured": {"size": 5}}))
    slot.take(owner)
    yield owner
    slot.release(owner)


def test_the_parent_is_the_interface_that_was_there(owner: Owner) -> None:
    assert (Plain(3).parent, Plain(3).value) == (owner, 3)


def test_the_config_is_the_interfaces(owner: Owner) -> None:
    thing = Configured()
    assert (thing.config is owner.config, thing.size) == (True, 5)


def test_parent_and_config_cannot_be_changed(owner: Owner) -> None:
    thing = Configured(parent=Owner(), config=Config())
    thing.parent = None
    thing.config = Config()
    assert (thing.parent, thing.config is owner.config) == (owner, True)


def test_the_interface_is_held_weakly() -> None:
    owner = Owner()
    slot.take(owner)
    thing = Plain(1)
    slot.release(owner)
    del owner
    gc.collect()
    assert thing.parent is None


def test_without_an_interface_nothing_is_made() -> None:
    with pytest.raises(RuntimeError, match="belongs to an interface and there is none"):
        Plain(1)


def test_a_second_interface_is_refused_and_gives_nothing_back(owner: Owner) -> None:
    other = Owner()
    with pytest.raises(RuntimeError, match="already exists in this process"):
        slot.take(other)
    slot.release(other)
    assert slot.get() is owner


def test_configurables_are_listed_for_help() -> None:
    assert Configured in BaseInterface.classes
    assert Plain not in BaseInterface.classes


def test_hiding_both_is_refused_with_a_tip() -> None:
    with pytest.raises(TypeError, match="make HasInterface the left-most base"):

        class Wrong(Configurable, HasInterface[Any]):
            parent = None  # type: ignore[assignment]
            config = None  # type: ignore[assignment]


@pytest.mark.parametrize("name", ["parent", "config"])
def test_hiding_one_is_refused_by_name(name: str) -> None:
    with pytest.raises(TypeError, match=f"'{name}' is not that of HasInterface"):
        type("Wrong", (HasInterface,), {name: None})
