"""The history: written by its own thread, read from any, and a file that fails costs a warning."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from traitlets.config import Config

from async_kernel.shell import history
from tests.shell.kernels import ip_session

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def stored(home: Path) -> list[tuple[Any, ...]]:
    """The lines in the database, as another process sees them."""
    with closing(sqlite3.connect(home / "ipython" / "profile_default" / "history.sqlite")) as db:
        return db.execute("SELECT session, line, source_raw FROM history ORDER BY session, line").fetchall()


async def asked(kernel: Any, **content: Any) -> list[Any]:
    return (await kernel.ask("history_request", **content))["history"]


# -- writing ---------------------------------------------------------------------------------------------------


async def test_lines_are_in_the_file_after_the_end(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        for code in ("x = 1", "1 / 0", "%time 5"):
            await session.run(code, stop_on_error=False)
    assert stored(tmp_path) == [(1, 1, "x = 1"), (1, 2, "1 / 0"), (1, 3, "%time 5")]


async def test_the_session_is_ended_with_its_count(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("1")
        await session.run("2")
    with closing(sqlite3.connect(tmp_path / "ipython" / "profile_default" / "history.sqlite")) as db:
        [(number, end, count)] = db.execute("SELECT session, end, num_cmds FROM sessions").fetchall()
    assert (number, count) == (1, 2)
    assert end is not None


async def test_a_line_is_written_while_its_cell_still_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = threading.Semaphore(0)
    insert = history.CellHistory._insert

    def telling(self: history.CellHistory) -> None:
        insert(self)
        written.release()

    monkeypatch.setattr(history.CellHistory, "_insert", telling)
    async with ip_session(tmp_path) as session:
        code = "import anyio\nprint('on')\nawait anyio.sleep_forever()"
        cell = session.begin(code)
        await session.printed(cell, "on")
        await anyio.to_thread.run_sync(written.acquire)
        assert stored(tmp_path) == [(1, 1, code)]
        await session.ask("interrupt_request")
        await session.end(cell)


async def test_lines_are_written_by_the_thread_of_the_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    done = threading.Event()
    insert = history.CellHistory._insert

    def noting(self: history.CellHistory) -> None:
        names.append(threading.current_thread().name)
        insert(self)
        done.set()

    monkeypatch.setattr(history.CellHistory, "_insert", noting)
    async with ip_session(tmp_path) as session:
        await session.run("x = 1")
        await anyio.to_thread.run_sync(done.wait)
    assert "history" in names[0]


async def test_a_burst_is_few_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    insert = history.CellHistory._insert

    def counting(self: history.CellHistory) -> None:
        commits.append(1)
        insert(self)

    monkeypatch.setattr(history.CellHistory, "_insert", counting)
    monkeypatch.setattr(history, "_BURST_S", 3600.0)
    async with ip_session(tmp_path) as session:
        for number in range(50):
            await session.run(str(number))
    assert len(commits) <= 3
    assert len(stored(tmp_path)) == 50


async def test_exit_is_not_stored_and_numbers_stay_in_step(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("exit(keep_kernel=True)")
        assert await session.value("In[2], _ih[1], _i2") == "('In[2], _ih[1], _i2', '', 'In[2], _ih[1], _i2')"
    assert [line for _, line, _ in stored(tmp_path)] == [2]


async def test_the_last_inputs_have_names(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        for code in ("'a'", "'b'", "'c'"):
            await session.run(code)
        assert await session.value("_i, _ii, _iii, _i1") == "(\"'c'\", \"'b'\", \"'a'\", \"'a'\")"


async def test_outputs_are_stored_when_asked(tmp_path: Path) -> None:
    config = Config()
    config.HistoryManager.db_log_output = True
    async with ip_session(tmp_path, config=config) as session:
        await session.run("6 * 7")
    async with ip_session(tmp_path) as session:
        assert await asked(session, hist_access_type="range", session=-1, output=True) == [[1, 1, ["6 * 7", "42"]]]


async def test_reset_begins_another_session(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("first = 1")
        await session.run("get_ipython().reset()")
        await session.run("second = 2")
    assert stored(tmp_path) == [(1, 1, "first = 1"), (1, 2, "get_ipython().reset()"), (2, 1, "second = 2")]


# -- reading ---------------------------------------------------------------------------------------------------


async def test_the_tail_has_earlier_sessions_before_this_one(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("'old 1'")
        await session.run("'old 2'")
    async with ip_session(tmp_path) as session:
        await session.run("'new'")
        assert await asked(session, hist_access_type="tail", n=2) == [[1, 2, "'old 2'"], [2, 1, "'new'"]]


async def test_a_range_of_this_session_may_have_outputs(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        for code in ("1 + 1", "x = 3", "%time 4"):
            await session.run(code)
        assert await asked(session, hist_access_type="range", start=1, stop=3, output=True) == [
            [0, 1, ["1 + 1", "2"]],
            [0, 2, ["x = 3", None]],
        ]
        [[_, _, parsed]] = await asked(session, hist_access_type="range", start=3, raw=False)
        assert parsed == "get_ipython().run_line_magic('time', '4')"


async def test_a_search_takes_globs_and_can_leave_repetitions_out(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        for code in ("apple = 1", "pear = 2", "apple = 1", "apple = 3"):
            await session.run(code)
        found = [line for _, _, line in await asked(session, hist_access_type="search", pattern="app*")]
        assert found == ["apple = 1", "apple = 1", "apple = 3"]
        unique = await asked(session, hist_access_type="search", pattern="app*", unique=True)
        assert [line for _, _, line in unique] == ["apple = 1", "apple = 3"]
        last = await asked(session, hist_access_type="search", pattern="*", n=1)
        assert [line for _, _, line in last] == ["apple = 3"]


async def test_magics_read_the_history(tmp_path: Path) -> None:
    async with ip_session(tmp_path) as session:
        await session.run("a = 1")
        await session.run("b = 2")
        assert (await session.run("%history 1-2")).text() == "a = 1\nb = 2\n"
        assert "a = 1" in (await session.run("%history -g a*")).text()
        assert (await session.run("%recall 1")).reply["payload"][0]["text"] == "a = 1"
        assert (await session.run("%rerun 1")).text().strip().endswith("a = 1\n=== Output: ===")


# -- files that fail -------------------------------------------------------------------------------------------


def profile(home: Path) -> Path:
    folder = home / "ipython" / "profile_default"
    folder.mkdir(parents=True)
    return folder / "history.sqlite"


async def test_a_corrupt_file_is_moved_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = profile(tmp_path)
    path.write_bytes(b"this is no database" * 100)
    with caplog.at_level(logging.WARNING):
        async with ip_session(tmp_path) as session:
            await session.run("x = 1")
            assert await asked(session, hist_access_type="tail", n=5) == [[1, 1, "x = 1"]]
    assert len([record for record in caplog.records if "history" in record.message.lower()]) == 1
    assert stored(tmp_path) == [(1, 1, "x = 1")]
    assert len(list(path.parent.glob("history-corrupt-*.sqlite"))) == 1


async def test_a_file_that_cannot_be_opened_leaves_the_history_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    profile(tmp_path).mkdir()
    with caplog.at_level(logging.WARNING):
        async with ip_session(tmp_path) as session:
            await session.run("x = 1")
            assert await asked(session, hist_access_type="tail", n=5) == [[1, 1, "x = 1"]]
            assert await asked(session, hist_access_type="search", pattern="x*") == [[1, 1, "x = 1"]]
    assert len([record for record in caplog.records if "in memory" in record.message]) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
async def test_a_file_that_cannot_be_written_leaves_the_history_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = profile(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE other (x)")
    path.chmod(0o444)
    path.parent.chmod(0o555)
    with caplog.at_level(logging.WARNING):
        async with ip_session(tmp_path) as session:
            await session.run("x = 1")
            assert await asked(session, hist_access_type="tail", n=5) == [[1, 1, "x = 1"]]
    path.parent.chmod(0o755)


async def test_lines_wait_while_another_process_holds_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_LOCKED_S", 0.01)
    async with ip_session(tmp_path) as session:
        await session.run("x = 1")
        manager = session.shell.history_manager
        manager.writeout_cache()
        with closing(sqlite3.connect(manager.hist_file)) as other, caplog.at_level(logging.WARNING):
            other.execute("BEGIN EXCLUSIVE")
            await session.run("y = 2")
            manager.writeout_cache()
            other.rollback()
    assert "later" in caplog.text
    assert stored(tmp_path) == [(1, 1, "x = 1"), (1, 2, "y = 2")]


async def test_a_history_that_is_off_answers_from_memory(tmp_path: Path) -> None:
    config = Config()
    config.HistoryManager.enabled = False
    async with ip_session(tmp_path, config=config) as session:
        await session.run("x = 1")
        assert await asked(session, hist_access_type="tail", n=5) == []
        assert await asked(session, hist_access_type="range") == [[0, 1, "x = 1"]]
    assert not (tmp_path / "ipython" / "profile_default" / "history.sqlite").exists()


async def test_no_file_is_opened_before_there_is_a_line(tmp_path: Path) -> None:
    async with ip_session(tmp_path):
        pass
    assert not (tmp_path / "ipython" / "profile_default" / "history.sqlite").exists()
