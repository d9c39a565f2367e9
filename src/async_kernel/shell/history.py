"""The history of cells: IPython's SQLite file, written off the hot path.

A cell's thread only appends to a list. A writer, an owned thread that the kernel runs as a task
(:meth:`CellHistory.run`), puts what has gathered into the database: at once when it was idle, and at most once a
second in a burst, so that an interactive user's line is on disk while the cell still runs. Reading, and
:meth:`CellHistory.close`, write out what is left first; without a writer that is when lines are written.

There is one connection, opened when it is first needed and used under a lock, from whichever thread. If the file
cannot be opened or written, there is one warning and the history goes on in memory.
"""

from __future__ import annotations

import datetime
import queue
import threading
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from async_kernel.lifetime.owned_thread import run_in_owned_thread
from async_kernel.platforms.threads import HAVE_THREADS
from async_kernel.shell.ipython import HistoryAccessor, HistoryManager, register_timestamps

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from anyio.abc import TaskStatus

__all__ = ["CellHistory"]

_BURST_S = 1.0  # a disk commit for every cell of a notebook that runs through would cost more than the cells
_FIRST_S = 0.05  # the first line opens the file: that shall not take the processor from the cell whose line it is
_LOCKED_S = 2.0  # how long another process may hold the database before this one gives up for now
_CORRUPT = ("not a database", "malformed", "no such table", "has no column")

_INSERT_INPUT = "INSERT INTO history VALUES (?, ?, ?, ?)"
_INSERT_OUTPUT = "INSERT INTO output_history VALUES (?, ?, ?)"
_TABLES = """
CREATE TABLE IF NOT EXISTS sessions (session integer primary key autoincrement, start timestamp, end timestamp,
    num_cmds integer, remark text);
CREATE TABLE IF NOT EXISTS history (session integer, line integer, source text, source_raw text,
    PRIMARY KEY (session, line));
CREATE TABLE IF NOT EXISTS output_history (session integer, line integer, output text, PRIMARY KEY (session, line));
"""  # the schema of IPython's history files, which every IPython reads


class CellHistory(HistoryManager):
    """IPython's history manager without a thread of its own."""

    hist_file: Any
    _i00 = _i = _ii = _iii = ""  # traits in IPython; set for every cell

    def __init__(self, *, shell: Any, **traits: Any) -> None:
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._session = 0
        self._closed = False
        self._told = False
        self._lines: deque[tuple[str, tuple[Any, ...]]] = deque()  # (statement, values without the session)
        self._signals: queue.SimpleQueue[bool] = queue.SimpleQueue()  # False: there are lines; True: stop
        self._idle = False
        # HistoryManager's own constructor would open the file and start a daemon thread
        HistoryAccessor.__init__(self, shell=shell, **traits)
        self.using_thread = False
        self.outputs: dict[int, list[Any]] = defaultdict(list)

    def __del__(self) -> None:
        """Nothing: :meth:`close` is called by the shell."""

    # -- the writer ------------------------------------------------------------------------------------------

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Write lines as they come, until cancelled."""
        self._signals = queue.SimpleQueue()
        task_status.started()
        if not HAVE_THREADS:  # lines are written when they are read, and at the end
            return
        await run_in_owned_thread(self._work, name="history", cancel=lambda: self._signals.put(True), no_debug=True)

    def _work(self) -> None:
        while True:
            self._idle = True
            stop = False if self._lines else self._signals.get()
            self._idle = False
            if stop or self._stops_within(_FIRST_S):
                return
            self.writeout_cache()
            if self._stops_within(_BURST_S):
                return

    def _stops_within(self, seconds: float) -> bool:
        """Let lines gather; whether the thread is to stop meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                if self._signals.get(timeout=left):
                    return True
            except queue.Empty:
                break
        return False

    def _remember(self, statement: str, *values: Any) -> None:
        """Queue a line for the writer: no lock, since an interrupt may strike here."""
        self._lines.append((statement, values))
        if self._idle:
            self._signals.put(False)

    # -- storing ---------------------------------------------------------------------------------------------

    def store_inputs(self, line_num: int, source: str, source_raw: str | None = None) -> None:
        """Remember a cell; called once for every number, in order, in the cell's thread."""
        raw = (source if source_raw is None else source_raw).rstrip("\n")
        parsed = source.rstrip("\n")
        leaves = self._exit_re.match(raw.strip()) is not None
        # In[n] is the cell of number n, so that one which only leaves has a place there too
        self._align(line_num)
        self.input_hist_parsed.append("" if leaves else parsed)
        self.input_hist_raw.append("" if leaves else raw)
        if leaves:
            return
        if self.enabled:
            self._remember(_INSERT_INPUT, line_num, parsed, raw)
        self._iii, self._ii, self._i, self._i00 = self._ii, self._i, self._i00, raw
        names = {"_i": self._i, "_ii": self._ii, "_iii": self._iii, f"_i{line_num}": raw}
        self.shell.user_ns.update(names)
        self.shell.user_ns_hidden.update(names)

    def _align(self, line_num: int) -> None:
        for entries in (self.input_hist_parsed, self.input_hist_raw):
            missing = line_num - len(entries)
            if missing > 0:
                entries.extend([""] * missing)

    def store_output(self, line_num: int) -> None:
        """Remember the text of a cell's result, if ``db_log_output`` asks for it."""
        if self.enabled and self.db_log_output and line_num in self.output_hist_reprs:
            self._remember(_INSERT_OUTPUT, line_num, self.output_hist_reprs[line_num])

    def writeout_cache(self, conn: object = None) -> None:
        """Write what has gathered to the database, in the calling thread."""
        if self._lines:
            with self._lock:
                self._guarded(self._insert)

    def _insert(self) -> None:
        import sqlite3  # noqa: PLC0415 -- 8 ms that a kernel's start can do without

        db, lines = self.db, list(self._lines)
        for attempt in range(2):
            try:
                with db:
                    for statement, values in lines:
                        db.execute(statement, (self._session, *values))
                break
            except sqlite3.IntegrityError:
                if attempt:
                    raise
                self._begin_session(db)  # numbers that were there before, after %reset: they belong to a new session
        for _ in lines:
            self._lines.popleft()

    # -- the database ----------------------------------------------------------------------------------------

    @property
    def db(self) -> Any:
        """The connection, opened now if it is not yet; use it under the lock."""
        with self._lock:
            if self._connection is None:
                self._connect()
            return self._connection

    @property
    def session_number(self) -> int:
        """The number of this session in the database."""
        if self._session == 0 and self.enabled and not self._closed:
            with self._lock:
                self._guarded(lambda: self.db)
        return self._session

    @session_number.setter
    def session_number(self, value: int) -> None:
        self._session = value

    def init_db(self) -> None:
        """Nothing yet: the file is opened when it is needed."""

    def _connect(self) -> None:
        import sqlite3  # noqa: PLC0415 -- as above

        register_timestamps()
        options: dict[str, Any] = {
            "timeout": _LOCKED_S,
            "detect_types": sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES,
        }
        options |= {**self.connection_options, "check_same_thread": False}
        connection = sqlite3.connect(str(self.hist_file), **options)
        try:
            connection.executescript(_TABLES)
            self._begin_session(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _begin_session(self, connection: sqlite3.Connection) -> None:
        with connection:
            cursor = connection.execute(
                "INSERT INTO sessions VALUES (NULL, ?, NULL, NULL, '')", (datetime.datetime.now().isoformat(" "),)
            )
        self._session = cursor.lastrowid or 0

    def _guarded(self, action: Callable[[], Any]) -> Any:
        """Do something with the database; if it fails, say so once, and do it in another one.

        While another process holds the file, nothing is done: lines stay for the next time.
        """
        import sqlite3  # noqa: PLC0415 -- as above

        for _ in range(3):
            try:
                return action()
            except (sqlite3.Error, OSError) as exc:
                if "locked" in str(exc):
                    self._tell(exc, "later, when it is free")
                    return None
                self._leave_file(exc)
        return None

    def _leave_file(self, exc: Exception) -> None:
        """Go on with another file, or in memory, after ``exc``."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        path = Path(self.hist_file)
        where = "in memory: it will not be saved"
        if any(sign in str(exc) for sign in _CORRUPT) and path.is_file():
            moved = path.with_name(f"{path.stem}-corrupt-{datetime.datetime.now():%Y%m%dT%H%M%S%f}{path.suffix}")
            try:
                path.rename(moved)
                where = f"in a new file; the old one is now {moved}"
            except OSError:
                self.hist_file = ":memory:"
        else:
            self.hist_file = ":memory:"
        self._tell(exc, where)

    def _tell(self, exc: Exception, where: str) -> None:
        if not self._told:
            self._told = True
            self.log.warning("The history %s cannot be used (%s). It goes on %s.", self.hist_file, exc, where)

    # -- life ------------------------------------------------------------------------------------------------

    def new_session(self, conn: object = None) -> None:
        """Begin a session; its lines count from 1."""
        if self._connection is not None:
            with self._lock:
                self._guarded(lambda: self._begin_session(self.db))

    def end_session(self) -> None:
        """Write what is left, and when the session ended."""
        if not self.enabled:
            return
        with self._lock:
            self.writeout_cache()
            if self._connection is not None:
                self._guarded(self._write_end)
            self._session = 0

    def _write_end(self) -> None:
        db = self.db
        with db:
            db.execute(
                "UPDATE sessions SET end=?, num_cmds=? WHERE session==?",
                (datetime.datetime.now(datetime.UTC).isoformat(" "), len(self.input_hist_parsed) - 1, self._session),
            )

    def close(self) -> None:
        """End the session and close the file; what is read afterwards is only what memory holds."""
        with self._lock:
            if self._closed:
                return
            self.end_session()
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # -- reading ---------------------------------------------------------------------------------------------

    def _run_sql(
        self, sql: str, params: tuple[Any, ...], raw: bool = True, output: bool = False, latest: bool = False
    ) -> Any:
        """As IPython's, but done when it returns: the connection is not left to whoever iterates."""
        if self._closed:
            return []
        with self._lock:
            base: Any = super()
            query = base._run_sql  # noqa: SLF001 -- this very method
            return self._guarded(lambda: list(query(sql, params, raw=raw, output=output, latest=latest))) or []

    def get_session_info(self, session: int = 0) -> Any:
        """The row of a session: number, start, end, count, remark; 0 is this one, -1 the one before."""
        number = session if session > 0 else session + self.session_number
        with self._lock:
            return self._guarded(
                lambda: self.db.execute("SELECT * FROM sessions WHERE session == ?", (number,)).fetchone()
            )

    def get_tail(self, n: int | None = 10, raw: bool = True, output: bool = False, include_latest: bool = False) -> Any:
        """The last ``n`` lines, those of this session last; see :class:`IPython.core.history.HistoryManager`."""
        base: Any = super()
        return base.get_tail(n, raw, output, include_latest) if self.enabled else []
