"""Errors as the user sees them: without the machinery, and groups whole."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from async_kernel.shell.showing.traceback import CellTB, trim
from tests.shell.kernels import Ran, ip_session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def plain(ran: Ran) -> str:
    """The traceback without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(ran.reply["traceback"]))


async def test_a_traceback_begins_and_ends_in_the_users_code(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        text = plain(await session.run("def f():\n    return 1 / 0\nf()"))
        assert re.findall(r"line (\d+)", text) == ["3", "2"]
        assert "async_kernel" not in text
        assert text.splitlines()[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    "start",
    ["nursery.start_soon(fails)", "await anyio.to_thread.run_sync(work)"],
)
async def test_what_has_led_to_the_users_code_is_not_shown(tmp_path: Path, start: str) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("import anyio\nasync def fails():\n    await anyio.sleep(0)\n    1 / 0\ndef work(): 1 / 0")
        ran = await session.run(f"{start}\nwhile not session.errors: await anyio.sleep(0)")
        (error,) = [sent.content for sent in session.wire.of(ran.request) if sent.kind == "error"]
        text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error["traceback"]))
        assert text.splitlines()[2].startswith("Cell In["), text


async def test_the_call_of_a_cell_magic_is_not_shown(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        text = plain(await session.run("%%deadline 60\n1 / 0"))
        assert "run_cell_magic" not in text
        assert "1 / 0" in text


async def test_tracebacks_are_coloured(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert any("\x1b[" in line for line in (await session.run("1 / 0")).reply["traceback"])
        await session.run("%colors nocolor")
        assert not any("\x1b[" in line for line in (await session.run("1 / 0")).reply["traceback"])


@pytest.mark.parametrize("mode", ["Plain", "Context", "Verbose", "Minimal", "Docs", "Doctest"])
async def test_every_mode_shows_errors_and_groups(tmp_path: Path, mode: str) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(f"%xmode {mode}")
        assert "ZeroDivisionError" in plain(await session.run("1 / 0"))
        group = plain(await session.run("raise ExceptionGroup('several', [ValueError(1), KeyError(2)])"))
        assert "ExceptionGroup" in group
        if mode in ("Plain", "Context", "Verbose"):
            assert "ValueError" in group
            assert "KeyError" in group
            assert "async_kernel" not in group


async def test_groups_are_shown_whole_without_the_nursery(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        import anyio
        async def inner():
            raise KeyError("deep")
        async def outer():
            async with anyio.create_task_group() as group:
                group.start_soon(inner)
                group.start_soon(other)
        async def other():
            raise ValueError("beside")
        async with anyio.create_task_group() as group:
            group.start_soon(outer)
        """
        text = plain(await session.run(code))
        for part in ("KeyError: 'deep'", "ValueError: beside", "in inner()", "in outer()", "in other()"):
            assert part in text
        assert text.count("sub-exception") == 2
        assert "site-packages" not in text


async def test_trios_cancelled_children_are_a_line_each(tmp_path: Path, anyio_backend: str) -> None:
    if anyio_backend != "trio":
        pytest.skip("trio's own")
    async with ip_session(tmp_path) as session:
        code = """
        import trio
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.sleep(0)
            except trio.Cancelled as exc:
                cancelled = exc
        raise BaseExceptionGroup("mixed", [cancelled, ValueError("real")])
        """
        text = plain(await session.run(code))
        assert "ValueError: real" in text
        [line] = [line for line in text.splitlines() if "Cancelled" in line and "except" not in line]
        assert line.startswith("    | Cancelled")


async def test_causes_are_shown_above_what_they_caused(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        try:
            raise ExceptionGroup("first", [ValueError("inside")])
        except ExceptionGroup as exc:
            raise RuntimeError("second") from exc
        """
        text = plain(await session.run(code))
        places = [text.index(part) for part in ("ValueError: inside", "direct cause", "RuntimeError: second")]
        assert places == sorted(places)


async def test_a_context_that_is_a_cancellation_is_not_shown(tmp_path: Path, anyio_backend: str) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        import anyio
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                await anyio.sleep(1)
            finally:
                raise ValueError("on the way out")
        """
        text = plain(await session.run(code))
        assert "ValueError: on the way out" in text
        assert "Cancelled" not in text


async def test_notes_are_shown(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        text = plain(await session.run("e = ValueError('x')\ne.add_note('look here')\nraise ExceptionGroup('g', [e])"))
        assert "look here" in text


async def test_a_syntax_error_points_at_its_place(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        text = plain(await session.run("x = 1\ny = = 2"))
        assert "Cell In[1], line 2" in text
        assert "^" in text


async def test_a_syntax_error_of_imported_code_shows_the_way_there(tmp_path: Path) -> None:
    (tmp_path / "broken_module.py").write_text("x = = 1\n")
    async with ip_session(tmp_path) as session:
        text = plain(await session.run(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport broken_module"))
        assert "broken_module.py" in text
        assert "async_kernel" not in text


async def test_an_error_may_render_itself(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = "class E(Exception):\n  def _render_traceback_(self): return ['as', 'I', 'like']\nraise E"
        assert (await session.run(code)).reply["traceback"] == ["as", "I", "like"]


@pytest.mark.parametrize("body", ["1 / 0", "return 5", "raise SystemExit"])
async def test_an_error_that_cannot_render_itself_is_shown_as_others(tmp_path: Path, body: str) -> None:
    async with ip_session(tmp_path) as session:
        ran = await session.run(f"class E(Exception):\n  def _render_traceback_(self): {body}\nraise E('x')")
        assert (ran.status, ran.reply["ename"]) == ("error", "E")
        assert plain(ran).splitlines()[-1] == "E: x"


async def test_tb_shows_the_last_error_again(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        first = await session.run("1 / 0")
        again = await session.run("%tb")
        assert again.of("error")[0]["ename"] == first.reply["ename"]
        assert again.status == "ok"


async def test_the_same_error_in_a_group_twice_does_not_loop(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = "e = ValueError('x')\ng = ExceptionGroup('g', [e, e])\ne.__cause__ = g\nraise g"
        assert "ValueError" in plain(await session.run(code))


async def test_wide_and_deep_groups_are_cut(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        text = plain(await session.run("raise ExceptionGroup('wide', [ValueError(i) for i in range(40)])"))
        assert "and 25 more" in text
        text = plain(
            await session.run("e = ValueError(1)\nfor i in range(30): e = ExceptionGroup(str(i), [e])\nraise e")
        )
        assert "more levels down" in text


def test_trim_keeps_a_traceback_that_has_nothing_else() -> None:
    from async_kernel.shell.showing.json_ready import json_ready

    class Odd:
        def __repr__(self) -> str:
            raise LookupError

    with pytest.raises(LookupError) as caught:
        Odd().__repr__()
    assert trim(caught.tb) is caught.tb
    assert json_ready(Odd()) == "<Odd whose repr raises LookupError>"


def test_an_error_whose_text_raises_is_formatted() -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise LookupError

        @property
        def __notes__(self) -> Any:
            raise LookupError

    error = OddError()
    lines = CellTB(mode="Context", theme_name="nocolor").structured_traceback(OddError, error, None)
    assert "Odd" in "".join(lines)
