from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import anyio
import pytest
import sniffio
import trio

from async_kernel.event_loop import run as run_module
from async_kernel.event_loop.run import prepare, run
from async_kernel.typing import Backend, RunSettings


async def library_and(value: Any = None) -> tuple[str, Any]:
    await anyio.lowlevel.checkpoint()
    return sniffio.current_async_library(), value


async def loop_module() -> str:
    return type(asyncio.get_running_loop()).__module__


@pytest.mark.parametrize("backend", list(Backend))
def test_it_runs_the_backend_and_returns_the_result(backend: Backend) -> None:
    assert run(library_and, (42,), RunSettings(backend=backend)) == (backend, 42)


def test_it_is_trio_unless_said_otherwise() -> None:
    assert run(library_and, (), RunSettings()) == ("trio", None)


@pytest.mark.parametrize("backend", list(Backend))
def test_it_raises_what_the_function_raised(backend: Backend) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(fail, (), RunSettings(backend=backend))


def test_options_reach_trio() -> None:
    class Instrument(trio.abc.Instrument):
        began = False

        def before_run(self) -> None:
            self.began = True

    instrument = Instrument()
    run(library_and, (), RunSettings(backend_options={"instruments": [instrument]}))
    assert instrument.began


def test_options_reach_asyncio() -> None:
    async def debugs() -> bool:
        return asyncio.get_running_loop().get_debug()

    assert run(debugs, (), RunSettings(backend=Backend.asyncio, backend_options={"debug": True})) is True


def test_uvloop_runs_when_it_is_asked_for() -> None:
    pytest.importorskip("uvloop")
    settings = [RunSettings(backend=Backend.asyncio, backend_options={"use_uvloop": wish}) for wish in (True, False)]
    assert [run(loop_module, (), each).split(".")[0] for each in settings] == ["uvloop", "asyncio"]


def test_uvloop_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"use_uvloop needs uvloop.*pip install async-trio\[uvloop\]"):
        run(library_and, (), RunSettings(backend=Backend.asyncio, backend_options={"use_uvloop": True}))


@pytest.mark.parametrize(
    ("backend", "known"),
    [
        (Backend.trio, "clock, instruments, restrict_keyboard_interrupt_to_checkpoints, strict_exception_groups"),
        (Backend.asyncio, "debug, loop_factory, use_uvloop"),
    ],
)
def test_an_unknown_option_is_named_with_those_that_there_are(backend: Backend, known: str) -> None:
    with pytest.raises(TypeError) as caught:
        run(library_and, (), RunSettings(backend=backend, backend_options={"speed": "high"}))
    assert str(caught.value) == f"backend_options: {backend} has no option 'speed'; it has {known}"


def test_trio_that_is_not_there_is_named() -> None:
    code = """
import sys
sys.modules["trio"] = None
from async_kernel.event_loop.run import prepare, run
from async_kernel.typing import RunSettings
try:
    run(None, (), RunSettings())
except ImportError as exc:
    print(exc)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "the backend trio is not installed: pip install trio, or choose --backend=asyncio\n"


def test_a_thread_that_runs_a_loop_runs_no_other() -> None:
    async def nested() -> None:
        run(library_and, (), RunSettings())

    with pytest.raises(RuntimeError, match="Already running trio in this thread"):
        run(nested, (), RunSettings())


def test_settings_are_checked_before_anything_runs() -> None:
    with pytest.raises(TypeError, match="has no option 'speed'"):
        prepare(RunSettings(backend_options={"speed": "high"}))
    with pytest.raises(ValueError, match="there is no host 'gtk'"):
        prepare(RunSettings(host="gtk"))
    with pytest.raises(ValueError, match="curio"):
        prepare(RunSettings(backend="curio"))  # type: ignore[arg-type]
