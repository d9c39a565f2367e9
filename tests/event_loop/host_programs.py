"""Programs of windows and tasks, run as ``python -m tests.event_loop.host_programs PROGRAM HOST BACKEND``.

Each prints, as JSON, what it has seen. A GUI toolkit wants the main thread and a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import sniffio

from async_kernel.event_loop.host import Host
from async_kernel.event_loop.run import run
from async_kernel.lifetime.caller import Caller
from async_kernel.lifetime.loop_token import current_loop_token, runs_here
from async_kernel.lifetime.owned_thread import run_loop_in_owned_thread
from async_kernel.typing import Backend, RunSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HOST = sys.argv[2]
BACKEND = Backend(sys.argv[3])
OTHER = Backend.asyncio if BACKEND is Backend.trio else Backend.trio


class Toolkit:
    """The same few things in both toolkits."""

    def __init__(self) -> None:
        self.windows: list[Any] = []

    def window(self, colour: str = "red") -> Any:
        """Show a window of one colour."""
        if HOST == "tk":
            import tkinter

            window: Any = tkinter.Toplevel() if self.windows else tkinter.Tk()
            window.geometry("200x100+20+20")
            window.configure(background=colour)
        else:
            from PySide6.QtWidgets import QWidget

            window = QWidget()
            window.setStyleSheet(f"background-color: {colour}")
            window.setGeometry(20, 20, 200, 100)
            window.show()
        self.windows.append(window)
        return window

    def after(self, ms: int, fn: Callable[[], object]) -> None:
        """Have a callback of the toolkit called."""
        if HOST == "tk":
            if not self.windows:
                self.window()
            self.windows[0].after(ms, fn)
        else:
            from PySide6.QtCore import QTimer

            QTimer.singleShot(ms, fn)

    def dialog(self) -> None:
        """Wait in a dialog that nobody closes, in a main loop of its own."""
        if HOST == "tk":
            window = self.window()
            self.windows[0].wait_window(window)
        else:
            from PySide6.QtWidgets import QDialog

            QDialog().exec()

    def close_all(self) -> None:
        """Close every window."""
        if HOST == "tk":
            for window in reversed(self.windows):
                window.destroy()
        else:
            for window in self.windows:
                window.close()

    def quit(self) -> None:
        """What a program of its own does at its end."""
        if HOST == "tk":
            self.windows[0].quit()
        else:
            from PySide6.QtWidgets import QApplication

            QApplication.quit()


def hosted(func: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
    return run(func, args, RunSettings(backend=BACKEND, backend_options=options, host=HOST))


async def called(token: Any, toolkit: Toolkit, times: int) -> list[str]:
    """Wait until the toolkit has called back so many times, from callback to callback."""
    calls: list[str] = []
    enough = anyio.Event()

    def tick() -> None:
        calls.append(threading.current_thread().name)
        if len(calls) < times:
            toolkit.after(1, tick)
        else:
            token.call_soon(enough.set)

    toolkit.after(1, tick)
    await enough.wait()
    return calls


def result() -> Any:
    async def main(value: int) -> Any:
        await anyio.lowlevel.checkpoint()
        return [sniffio.current_async_library(), value]

    return hosted(main, 42)


def error() -> Any:
    async def main() -> None:
        await anyio.lowlevel.checkpoint()
        raise ZeroDivisionError

    try:
        hosted(main)
    except ZeroDivisionError:
        return "ZeroDivisionError"


def current() -> Any:
    async def main() -> Any:
        host = Host.current()
        in_thread = await anyio.to_thread.run_sync(Host.current)
        from_thread = await anyio.to_thread.run_sync(Host.current, threading.main_thread())
        return [host is not None and str(host.HOST), in_thread, from_thread is host]

    return [*hosted(main), Host.current()]


def everything_of_the_library() -> Any:
    """Sockets, subprocesses, threads, timers, tasks."""

    async def main() -> Any:
        async def echo(stream: Any) -> None:
            async with stream:
                await stream.send(await stream.receive())

        async with anyio.create_task_group() as group:
            listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
            group.start_soon(listener.serve, echo)
            address = listener.extra(anyio.abc.SocketAttribute.local_address)
            async with await anyio.connect_tcp(*address) as stream:
                await stream.send(b"echo")
                echoed = (await stream.receive()).decode()
            group.cancel_scope.cancel()
        await anyio.sleep(0.01)
        with anyio.move_on_after(0.01) as scope:
            await anyio.sleep_forever()
        child = await anyio.run_process([sys.executable, "-c", "print('child')"])
        thread = await anyio.to_thread.run_sync(lambda: "thread")
        return [echoed, child.stdout.decode(), thread, scope.cancelled_caught]

    return hosted(main)


def windows_live_beside_tasks() -> Any:
    async def main() -> Any:
        toolkit = Toolkit()
        toolkit.window()
        calls = await called(current_loop_token(), toolkit, 20)
        return [len(calls), set(calls) == {"MainThread"}]

    return hosted(main)


def a_busy_task_lets_windows_live() -> Any:
    async def main() -> Any:
        toolkit = Toolkit()
        toolkit.window()
        async with anyio.create_task_group() as group:

            async def busy() -> None:
                while True:
                    await anyio.lowlevel.checkpoint()

            group.start_soon(busy)
            calls = await called(current_loop_token(), toolkit, 5)
            group.cancel_scope.cancel()
        return len(calls)

    return hosted(main)


def a_window_is_drawn() -> Any:
    """The colours on the screen, where the window is."""

    async def main() -> Any:
        toolkit = Toolkit()
        colours = []
        for colour in ("#ff0000", "#00ff00"):
            toolkit.window(colour)
            await called(current_loop_token(), toolkit, 30)
            await anyio.sleep(0.2)  # the server draws when it likes; nothing says when it has
            colours.append(await anyio.to_thread.run_sync(pixel, 100, 60))
        if picture := os.environ.get("HOST_PICTURE"):
            await anyio.to_thread.run_sync(screen().save, picture)
        return colours

    return hosted(main)


def screen() -> Any:
    from PIL import ImageGrab

    return ImageGrab.grab(xdisplay=os.environ["DISPLAY"])


def pixel(x: int, y: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*screen().getpixel((x, y))[:3])


def closing_windows_ends_nothing() -> Any:
    async def main() -> Any:
        toolkit = Toolkit()
        toolkit.window()
        toolkit.window()
        await called(current_loop_token(), toolkit, 3)
        toolkit.close_all()
        await anyio.sleep(0.02)
        again = Toolkit()
        return len(await called(current_loop_token(), again, 3))

    return hosted(main)


def quitting_ends_nothing() -> Any:
    async def main() -> Any:
        toolkit = Toolkit()
        toolkit.window()
        toolkit.quit()
        await anyio.sleep(0.01)
        toolkit.after(0, toolkit.quit)
        await anyio.sleep(0.02)
        return len(await called(current_loop_token(), toolkit, 3))

    return hosted(main)


def tasks_go_on_while_a_dialog_waits() -> Any:
    """And the end does not wait for it."""
    toolkit = Toolkit()

    async def main() -> Any:
        toolkit.window()
        waits = await opened_dialog()
        for _ in range(3):
            await anyio.sleep(0.005)
        return waits

    async def opened_dialog() -> str:
        opened = anyio.Event()
        token = current_loop_token()

        def show() -> None:
            toolkit.after(1, lambda: token.call_soon(opened.set))
            toolkit.dialog()

        toolkit.after(1, show)
        await opened.wait()
        return "a dialog waits"

    return hosted(main)


def windows_that_are_open_do_not_keep_it() -> Any:
    toolkit = Toolkit()

    async def main() -> Any:
        toolkit.window()
        await called(current_loop_token(), toolkit, 3)
        return "ended"

    return hosted(main)


def callbacks_of_windows_reach_the_library() -> Any:
    async def main() -> Any:
        toolkit = Toolkit()
        done = anyio.Event()
        seen: list[str] = []
        async with Caller() as caller:

            async def work() -> None:
                await anyio.lowlevel.checkpoint()
                seen.append("call_soon")
                done.set()

            token = current_loop_token()
            here: list[bool] = []
            toolkit.after(1, lambda: here.append(runs_here(token)))
            toolkit.after(2, lambda: caller.call_soon(work))
            await done.wait()
            seen.append("a step" if here[0] else "between steps")
        if BACKEND is Backend.asyncio:
            over = asyncio.Event()

            async def task() -> None:
                await asyncio.sleep(0)
                seen.append("create_task")
                over.set()

            tasks: list[Any] = []
            toolkit.after(1, lambda: tasks.append(asyncio.create_task(task())))
            await over.wait()
            timer = asyncio.Event()
            toolkit.after(1, lambda: asyncio.get_running_loop().call_later(0.001, timer.set))
            await timer.wait()
            seen.append("call_later")
        return seen

    return hosted(main)


def other_threads_reach_it() -> Any:
    async def main() -> Any:
        async with Caller() as caller:

            def call() -> list[str]:
                return [caller.call_soon(lambda: threading.current_thread().name).wait_sync() for _ in range(20)]

            names = await anyio.to_thread.run_sync(call)
            other = await caller.call_using_backend(OTHER, library)
            return [sorted(set(names)), len(names), other == OTHER]

    async def library() -> str:
        await anyio.lowlevel.checkpoint()
        return sniffio.current_async_library()

    return hosted(main)


def an_interrupt_ends_it_in_order() -> Any:
    """SIGINT while the main loop sleeps: what waits for it is cancelled, and then it is raised."""
    order: list[str] = []

    def strike(*_: Any) -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        signal.signal(signal.SIGINT, strike)
        toolkit = Toolkit()
        toolkit.window()
        toolkit.after(1, lambda: signal.raise_signal(signal.SIGINT))
        try:
            # A toolkit may print what its callbacks raise, and go on.
            with anyio.move_on_after(0.3):
                await anyio.sleep_forever()
            order.append("went on")
            os.kill(os.getpid(), signal.SIGINT)
            await anyio.sleep_forever()
        finally:
            order.append("main ended")

    try:
        hosted(main)
    except BaseException as exc:  # noqa: BLE001
        names = {type(each).__name__ for each in getattr(exc, "exceptions", [exc])}
        order.append("KeyboardInterrupt" if names == {"KeyboardInterrupt"} else repr(exc))
    return order[-2:]


def an_error_of_the_main_loop_ends_it_in_order() -> Any:
    from async_kernel.event_loop.host import make_host

    order: list[str] = []

    def fail() -> None:
        msg = "from the main loop"
        raise ValueError(msg)

    async def main() -> None:
        try:
            await anyio.to_thread.run_sync(host.run_sync_soon_threadsafe, fail)
            await anyio.sleep_forever()
        finally:
            order.append("main ended")

    host = make_host(HOST)
    try:
        host.run(main, (), BACKEND)
    except ValueError as exc:
        order.append(str(exc))
    return [*order, Host.current()]


def an_idle_one_sleeps() -> Any:
    """How often the main loop is woken while nothing happens."""
    import time

    async def main() -> Any:
        toolkit = Toolkit()
        toolkit.window()
        await called(current_loop_token(), toolkit, 10)
        await anyio.sleep(0.2)
        cpu = time.process_time()
        await anyio.sleep(1)
        return time.process_time() - cpu < 0.01

    return hosted(main)


def one_after_another() -> Any:
    async def main(value: int) -> int:
        toolkit = Toolkit()
        toolkit.window()
        await called(current_loop_token(), toolkit, 3)
        toolkit.close_all()
        return value

    return [hosted(main, number) for number in range(3)]


def not_two_at_once() -> Any:
    async def main() -> Any:
        from async_kernel.event_loop.host import make_host

        try:
            make_host(HOST).run(anyio.sleep, (0,), BACKEND)
        except RuntimeError as exc:
            return str(exc)

    return hosted(main)


def options() -> Any:
    async def debugs() -> Any:
        if BACKEND is Backend.asyncio:
            return asyncio.get_running_loop().get_debug()
        return True

    try:
        hosted(debugs, use_uvloop=True) if BACKEND is Backend.asyncio else hosted(debugs, speed=1)
    except TypeError as exc:
        refused = str(exc)
    given = hosted(debugs, debug=True) if BACKEND is Backend.asyncio else hosted(debugs, instruments=[])
    return [given, refused]


def a_cell_may_wait_in_a_window() -> Any:
    """A task that runs a main loop itself blocks the library, but not the windows."""

    async def main() -> Any:
        toolkit = Toolkit()
        window = toolkit.window()
        calls: list[int] = []

        def tick() -> None:
            calls.append(1)
            if len(calls) == 10:
                loop.quit() if HOST == "qt" else window.quit()
            else:
                toolkit.after(1, tick)

        toolkit.after(1, tick)
        if HOST == "tk":
            window.mainloop()
        else:
            from PySide6.QtCore import QEventLoop

            loop = QEventLoop()
            loop.exec()
        seen = len(calls)
        await anyio.sleep(0.01)
        return seen

    return hosted(main)


def nothing_is_left() -> Any:
    """No thread, no socket. Threads of trio are daemons."""

    async def main() -> None:
        await anyio.to_thread.run_sync(int)
        await run_loop_in_owned_thread(anyio.lowlevel.checkpoint, name="x", backend=BACKEND)

    hosted(main)  # what a toolkit opens for good is open then
    before = descriptors()
    hosted(main)
    after = descriptors()
    threads = {t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon}
    return [after - before, sorted(threads - {"AnyIO worker thread"})]  # told to end, but nobody waits for it


def descriptors() -> int:
    """How many files are open."""
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


if __name__ == "__main__":
    import faulthandler

    faulthandler.dump_traceback_later(60, exit=True)
    print(json.dumps(globals()[sys.argv[1]]()))
