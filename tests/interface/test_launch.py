"""Which interface is launched for which settings."""

from __future__ import annotations

from typing import Any

import pytest

from async_kernel.interface import launch_interface
from async_kernel.interface.ip_app import IPApp
from async_kernel.interface.zmq import ZMQInterface

launched: list[type[Any]] = []


class Mine(ZMQInterface[Any]):
    """Says that it was launched."""

    @classmethod
    def launch_instance(cls, *_: Any, **__: Any) -> None:
        launched.append(cls)


@pytest.mark.parametrize("option", ["interface_class", "BaseInterface.interface_class"])
@pytest.mark.parametrize("given", [Mine, f"{__name__}.Mine"], ids=["a class", "a dotted name"])
def test_the_class_of_the_settings_is_launched(option: str, given: object) -> None:
    launched.clear()
    launch_interface({option: given})
    assert [cls.__qualname__ for cls in launched] == ["Mine"]


def test_without_a_class_it_is_the_one_for_ipython(monkeypatch: pytest.MonkeyPatch) -> None:
    launched.clear()
    monkeypatch.setattr(IPApp, "launch_instance", Mine.__dict__["launch_instance"])
    launch_interface({})
    assert launched == [IPApp]


@pytest.mark.parametrize("given", [dict, "builtins.dict", 3])
def test_what_is_no_interface_is_refused(given: object) -> None:
    with pytest.raises(TypeError, match="interface_class must be a subclass of BaseInterface"):
        launch_interface({"interface_class": given})
