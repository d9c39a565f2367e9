"""What a user sees while a run goes on. Nothing is drawn while something is measured, only in between."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

__all__ = ["Display", "LivingDisplay", "QuietDisplay", "display_for"]


class Display(Protocol):
    """Told by the runner what it is about to do."""

    def begin(self, total: int) -> None:
        """``total`` steps are ahead."""
        ...

    def step(self, title: str, kernel: str) -> None:
        """The next step begins."""
        ...

    def say(self, text: str) -> None:
        """A line that stays."""
        ...


class LivingDisplay:
    """A bar at the bottom of a terminal, drawn only when a step begins: no thread that would disturb the figures."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("[bold]{task.description:32}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[kernel]}"),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("preparing", total=None, kernel="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, total: int) -> None:
        self._progress.update(self._task, total=total, completed=-1)

    def step(self, title: str, kernel: str) -> None:
        self._progress.update(self._task, description=title[:32], kernel=kernel, advance=1, refresh=True)

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False)


class QuietDisplay:
    """A line for each measure, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._title = ""
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    def begin(self, total: int) -> None:
        self._began = time.monotonic()

    def step(self, title: str, kernel: str) -> None:
        if title != self._title:
            self._title = title
            self.say(f"{time.monotonic() - self._began:6.0f} s  {title}")

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)


def display_for(console: Console) -> LivingDisplay | QuietDisplay:
    """The display that suits where the output goes."""
    return LivingDisplay(console) if console.is_terminal else QuietDisplay(console)
