"""Questions about code, asked while cells run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def completed(session: Any, code: str, cursor_pos: int | None = None) -> dict[str, Any]:
    return await session.ask("complete_request", code=code, cursor_pos=len(code) if cursor_pos is None else cursor_pos)


# -- complete --------------------------------------------------------------------------------------------------


async def test_attributes_are_completed_with_their_types(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("text = 'hello'")
        reply = await completed(session, "text.upp")
        assert reply["matches"] == ["upper"]
        assert (reply["cursor_start"], reply["cursor_end"]) == (5, 8)
        [described] = reply["metadata"]["_jupyter_types_experimental"]
        assert (described["text"], described["type"], described["start"], described["end"]) == (
            "upper",
            "function",
            5,
            8,
        )


async def test_what_makes_the_first_completion_slow_can_be_done_ahead(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        for step in session.shell.warm_up():
            step()
        assert "jedi" in sys.modules

        session.shell.Completer.use_jedi = False
        assert session.shell.warm_up() == ()


async def test_the_completer_is_made_when_it_is_first_wanted(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert "Completer" not in vars(session.shell)
        await completed(session, "prin")
        made = vars(session.shell)["Completer"]
        assert (made.namespace is session.shell.user_ns, session.shell.Completer is made) == (True, True)
        assert [each for each in session.shell.configurables if each is made] == [made]


async def test_the_options_of_a_completer_that_nobody_wanted_yet_can_be_set(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("%config IPCompleter.use_jedi = False")
        assert session.shell.Completer.use_jedi is False


async def test_magics_are_completed(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        assert "%timeit" in (await completed(session, "%timei"))["matches"]


async def test_positions_count_characters_outside_the_basic_plane(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("text = 'hello'")
        reply = await completed(session, "'🐍🐍'; text.upp")
        assert (reply["cursor_start"], reply["cursor_end"], reply["matches"]) == (11, 14, ["upper"])


async def test_completion_looks_at_the_cursor_not_at_the_end(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("apple = 1")
        reply = await completed(session, "appl + 1\nzzz", 4)
        assert ("apple" in reply["matches"], reply["cursor_start"], reply["cursor_end"]) == (True, 0, 4)


async def test_nothing_to_complete_is_an_empty_answer(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        reply = await completed(session, "no_such_name_at_all.x")
        assert (reply["status"], reply["matches"]) == ("ok", [])
        assert reply["cursor_start"] <= reply["cursor_end"] == 21


@pytest.mark.parametrize("code", ["", "    ", "if True:\n    ", "\t", "%", "x = '", "/", "\x00", "é🐍", "(" * 200])
async def test_nothing_is_written_for_a_completion(tmp_path: Path, code: str) -> None:
    """What breaks in IPython's completer is written to its client, where it stands between the cells of a console."""
    async with ip_session(tmp_path) as session:
        assert (await completed(session, code))["status"] == "ok"
        assert [sent for sent in session.wire.sent if sent.kind == "stream"] == []


async def test_questions_are_answered_while_a_cell_blocks_the_loop(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        code = """
        import threading
        word, release = 'hello', threading.Event()
        print('on')
        release.wait()
        """
        answers: list[Any] = []
        wire = session.wire
        original = wire._add

        def note(sent: Any) -> None:
            original(sent)
            if sent.kind == "complete_reply":
                answers.append(sent.content["matches"])
                session.shell.user_ns["release"].set()
            if sent.kind == "stream" and "on" in sent.content["text"]:
                from tests.fakes import request

                session.kernel.submit(request("complete_request", code="word.upp", cursor_pos=8))

        wire._add = note
        await session.run(code)
        assert answers == [["upper"]]


async def test_nothing_is_looked_for_behind_a_line_that_would_stop_everything(tmp_path: Path) -> None:
    """IPython's patterns take the square of it, and hold the GIL: behind a megabyte, for many minutes."""
    async with ip_session(tmp_path) as session:
        long, longer = (f"picture = '{'A' * length}'" for length in (3_000, 1_000_000))
        assert (await completed(session, f"{long}.upp"))["matches"] == ["upper"]
        assert (await completed(session, f"{longer}.upp")) == {
            "status": "ok",
            "matches": [],
            "cursor_start": len(longer) + 4,
            "cursor_end": len(longer) + 4,
            "metadata": {"_jupyter_types_experimental": []},
        }
        assert (await completed(session, f"{longer}\n'a'.upp"))["matches"] == ["upper"]
        assert (await completed(session, f"'a'.upp; {longer}", len("'a'.upp")))["matches"] == ["upper"]


# -- inspect ---------------------------------------------------------------------------------------------------


async def test_inspection_finds_the_object_at_the_cursor(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        reply = await session.ask("inspect_request", code="max(len, 1)", cursor_pos=6, detail_level=0)
        assert reply["found"]
        assert "Return the number of items" in reply["data"]["text/plain"]


async def test_detail_one_shows_the_source(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("def f():\n    'says'\n    return 41 + 1")
        texts = [
            (await session.ask("inspect_request", code="f", cursor_pos=1, detail_level=level))["data"]["text/plain"]
            for level in (0, 1)
        ]
        assert ["41" in text for text in texts] == [False, True]


async def test_sections_may_be_left_out(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        ask = {"code": "len", "cursor_pos": 3, "detail_level": 0}
        whole = (await session.ask("inspect_request", **ask))["data"]["text/plain"]
        part = (await session.ask("inspect_request", **ask, omit_sections=["docstring"]))["data"]["text/plain"]
        assert ("Docstring" in whole, "Docstring" in part) == (True, False)


@pytest.mark.parametrize("code", ["no_such_name", "", "  ", "1 +"])
async def test_what_is_no_object_is_not_found(tmp_path: Path, code: str) -> None:
    async with ip_session(tmp_path) as session:
        reply = await session.ask("inspect_request", code=code, cursor_pos=len(code), detail_level=0)
        assert reply == {"status": "ok", "found": False, "data": {}, "metadata": {}}


async def test_an_object_that_resists_inspection_breaks_nothing(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run(
            "class Odd:\n  def __getattr__(self, name): raise RuntimeError(name)\n"
            "  def __repr__(self): 1 / 0\nodd = Odd()"
        )
        reply = await session.ask("inspect_request", code="odd", cursor_pos=3, detail_level=1)
        assert reply["status"] in ("ok", "error")
        assert (await completed(session, "odd."))["status"] == "ok"


# -- is_complete -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("1 + 1", {"status": "complete"}),
        ("", {"status": "complete"}),
        ("for i in x:", {"status": "incomplete", "indent": "    "}),
        ("def f():\n    if x:", {"status": "incomplete", "indent": "        "}),
        ("x = '''", {"status": "incomplete", "indent": ""}),
        ("%%bash", {"status": "incomplete", "indent": ""}),
        ("%time 5", {"status": "complete"}),
        ("def = 5", {"status": "invalid"}),
        ("async with x:", {"status": "incomplete", "indent": "    "}),
        ("await x", {"status": "complete"}),
    ],
)
async def test_whether_code_is_complete(tmp_path: Path, code: str, expected: dict[str, str]) -> None:
    async with ip_session(tmp_path) as session:
        assert await session.ask("is_complete_request", code=code) == expected
