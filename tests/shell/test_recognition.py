"""Libraries that print for notebooks do so here: asked with the real ones."""

from __future__ import annotations

import importlib.util
import re
import sys
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from async_kernel.shell.base import BaseShell
from async_kernel.shell.ipshell import IPShell
from async_kernel.shell.recognition import SHELL_MODULE, recognisable, recognisable_module
from async_kernel.slot import configurable_classes
from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


class MyShell(IPShell):
    """A user's."""


async def test_rich_prints_html(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run("import rich\nrich.print('[red]so[/red]')")
        (shown,) = ran.of("display_data")
        assert "<pre" in shown["data"]["text/html"]


async def test_tracebacks_of_rich_begin_in_the_cell(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("def work():\n    1 / 0\nimport rich.traceback\nrich.traceback.install();")
        ran = await session.run("work()")
        (shown,) = ran.of("display_data")
        text = re.sub(r"\x1b\[[0-9;]*m", "", shown["data"]["text/plain"])
        assert re.findall(r"│ in (\S+):\d+", text) == ["<module>", "work"]


async def test_tqdm_takes_widgets(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(
            "import sys\nfor name in [n for n in sys.modules if n.startswith('tqdm')]: del sys.modules[name]"
        )
        assert await session.value("from tqdm.auto import tqdm\ntqdm.__mro__[1].__module__") == "'tqdm.notebook'"


async def test_pandas_finds_what_it_looks_for(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert await session.value("'zmq' in str(type(get_ipython())).lower()") == "True"


async def test_plotly_finds_what_it_looks_for(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert await session.value("type(get_ipython()).__module__") == "'ipykernel.zmqshell'"


async def test_it_is_an_ipshell_in_all_else(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert isinstance(session.shell, IPShell)
        assert await session.value("%config ZMQInteractiveShell.ast_node_interactivity") == "'last_expr'"


def test_a_users_class_is_recognised_too_and_not_offered_twice() -> None:
    assert recognisable(MyShell).__name__ == "ZMQInteractiveShell"
    assert recognisable(MyShell) is recognisable(MyShell)
    assert issubclass(recognisable(MyShell), MyShell)
    assert recognisable(MyShell) not in configurable_classes
    assert MyShell in configurable_classes


def test_other_languages_shells_are_left_alone() -> None:
    assert "__new__" not in vars(BaseShell)


def test_the_stand_in_gives_way_to_the_real_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "ipykernel"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "zmqshell.py").write_text("real = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    without = {name: module for name, module in sys.modules.items() if name.partition(".")[0] != "ipykernel"}
    with patch.dict(sys.modules, without, clear=True), recognisable_module():
        namespace: dict[str, object] = {}
        exec(f"from {SHELL_MODULE} import real", namespace)
        assert namespace["real"] is True
        assert sys.modules[SHELL_MODULE].__file__ == str(package / "zmqshell.py")


@pytest.mark.skipif(importlib.util.find_spec("ipykernel") is not None, reason="ipykernel is here")
def test_without_ipykernel_nothing_can_be_taken_from_it() -> None:
    with recognisable_module(), pytest.raises(ImportError):
        exec(f"from {SHELL_MODULE} import ZMQInteractiveShell")
    assert SHELL_MODULE not in sys.modules
