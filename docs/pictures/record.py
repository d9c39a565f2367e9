"""Draws the picture of a session: types into a real ``jupyter console`` in tmux, and draws what the screen shows.

Run it in an environment that has ``async-trio[console,docs]``, on a machine that has tmux::

    python docs/pictures/record.py

It writes ``session.svg`` beside itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH, HEIGHT = 84, 38


class Step(NamedTuple):
    """Something to type, and what the screen shows when it has been answered."""

    keys: list[str]
    answer: str


SESSION = [
    Step([], r"In \[1\]: *$"),
    Step(["import trio", "Enter"], r"In \[2\]: *$"),
    Step(["async def count(name, seconds):", "Enter"], r"\.\.\.: *$"),
    Step(["for number in range(3):", "Enter"], r"\.\.\.: *$"),
    Step(["await trio.sleep(seconds)", "Enter"], r"\.\.\.: *$"),
    Step(["print(name, number)", "Enter"], r"\.\.\.: *$"),
    Step(["Enter"], r"In \[3\]: *$"),
    Step(["async with trio.open_nursery() as workers:", "Enter"], r"\.\.\.: *$"),
    Step(["workers.start_soon(count, 'soprano', 0.2)", "Enter"], r"\.\.\.: *$"),
    Step(["workers.start_soon(count, 'tenor', 0.3)", "Enter"], r"\.\.\.: *$"),
    Step(["Enter"], r"In \[4\]: *$"),
    Step(["print('waiting'); await trio.sleep_forever()", "Enter"], r"\nwaiting$"),
    Step(["C-c"], r"In \[5\]: *$"),
    Step(["name = input('Your name? ')", "Enter"], r"Your name\? *$"),
    Step(["Ada", "Enter"], r"In \[6\]: *$"),
    Step(["f'Hello, {name}.'", "Enter"], r"In \[7\]: *$"),
]


class Screen:
    """A terminal of tmux's own server."""

    def __init__(self, socket: Path, log: Path) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        self._log = log

    def _run(self, *args: str) -> str:
        return subprocess.run([*self._tmux, *args], check=True, capture_output=True, text=True).stdout

    @contextmanager
    def opened(self, command: str) -> Iterator[None]:
        """Run a command in the terminal, for as long as the context."""
        self._run("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), command)
        # tmux tells of all that is written, so waiting needs no polling.
        self._run("pipe-pane", f"cat > {self._log}")
        try:
            yield
        finally:
            self._run("kill-server")

    def type(self, step: Step) -> None:
        """Type the keys."""
        for key in step.keys:
            literal = ["-l"] if key not in ("Enter", "C-c") else []
            self._run("send-keys", *literal, key)

    def text(self, *options: str) -> str:
        """What the terminal shows."""
        return self._run("capture-pane", "-p", *options)

    def wait_for(self, answer: str) -> None:
        """Wait until the terminal shows the answer; it is looked at again whenever something was written."""
        with subprocess.Popen(["tail", "-c", "+1", "-f", str(self._log)], stdout=subprocess.PIPE) as written:
            assert written.stdout is not None
            try:
                while not re.search(answer, self.text().rstrip()):
                    written.stdout.read1()
            finally:
                written.kill()


def record() -> str:
    """Type the session, and return the screen with its colours (ANSI)."""
    with tempfile.TemporaryDirectory() as folder:
        homes = {name: f"{folder}/{name}" for name in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR")}
        os.environ.update(homes)
        log = Path(folder, "log")
        log.touch()
        screen = Screen(Path(folder, "tmux"), log)
        options = "--ZMQTerminalInteractiveShell.banner='' --ZMQTerminalInteractiveShell.include_other_output=False"
        with screen.opened(f"{sys.executable} -m jupyter console --kernel async-trio {options}"):
            for step in SESSION:
                screen.type(step)
                screen.wait_for(step.answer)
            return screen.text("-e")


def draw(ansi: str, file: Path) -> None:
    """Draw a screen as SVG."""
    lines = ansi.rstrip().splitlines()
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor")
        console.print(Text.from_ansi("\n".join(lines)))
    svg = console.export_svg(title="jupyter console --kernel async-trio")
    # The picture shall fetch nothing: the fonts of the machine that shows it will do.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    file.write_text(svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace"), "utf-8")


if __name__ == "__main__":
    if shutil.which("tmux") is None:
        sys.exit("tmux is needed to record a session.")
    draw(record(), Path(__file__).with_name("session.svg"))
