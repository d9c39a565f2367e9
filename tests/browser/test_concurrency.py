"""Cells beside each other in a notebook: progress bars side by side, the tree of tasks, stopping one thing, looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.harness.page import FrontEnd

CONSOLE = ".jp-CodeConsole"

TQDM = """\
# task
from tqdm.auto import tqdm

for step in tqdm(range(100), desc="tqdm"):
    await advance(30, step)
print("tqdm is done")"""

RICH = """\
# task
from rich.progress import Progress

with Progress(redirect_stdout=False, redirect_stderr=False) as progress:
    rich_bar = progress.add_task("rich", total=100)
    for step in range(100):
        progress.advance(rich_bar)
        await advance(50, step)
    await anyio.sleep(0.3)  # rich draws ten times a second, and not once more at the end
print("rich is done")"""

WIDGETS = """\
# task
import ipywidgets

bar = ipywidgets.IntProgress(description="widgets", max=100)
display(bar)
for step in range(100):
    bar.value = step + 1
    await advance(70, step)
print("widgets are done")"""

PLAIN = """\
# thread
for percent in range(100):
    print(f"\\rplain {percent} %", end="", flush=True)
    await advance(40, percent)
print("\\nplain is done")"""

ADVANCE = """\
import threading, anyio
import ipywidgets, rich.progress, tqdm.auto  # on a busy machine that takes so long that the kernel would remark on it
finish = threading.Event()

async def advance(stop, step):
    await anyio.sleep(0.02)
    if step == stop:
        await anyio.to_thread.run_sync(finish.wait)"""
"""Each bar stops somewhere until it has been looked at. All cells share their names: that of the thread has its own."""


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_progress_bars_live_side_by_side(open_notebook: Callable[..., Any], front_end: FrontEnd) -> None:
    page = open_notebook(
        ADVANCE, TQDM, RICH, WIDGETS, PLAIN, "sum(range(1_000_000))", "finish.set()", front_end=front_end
    )
    page.run(0)
    page.start(1, 2, 3, 4)

    page.run(5)
    page.wait_text(5, "499999500000")
    page.wait_text(1, "tqdm:")
    page.wait_text(2, "51%")
    page.until(lambda: page.find(3, ".widget-hprogress"), "the widget")
    page.wait_text(4, "plain 40 %")
    page.screenshot(f"progress-live-{front_end}")
    assert [page.prompt(cell) for cell in (1, 2, 3, 4)] == ["[*]:"] * 4

    page.run(6)
    for cell, said in ((1, "tqdm is done"), (2, "rich is done"), (3, "widgets are done"), (4, "plain is done")):
        page.wait_text(cell, said)
        page.wait_done(cell)
    for cell in (1, 2):
        page.wait_text(cell, "100%")
    page.screenshot(f"progress-done-{front_end}")
    # rich displays nothing once more at the end; JupyterLab puts that into rich's Output widget, or below it.
    assert [len(page.outputs(cell)) for cell in (1, 3, 4)] == [2, 2, 1]


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_tasks_is_a_tree_and_live_goes_on_until_interrupted(
    open_notebook: Callable[..., Any], front_end: FrontEnd
) -> None:
    page = open_notebook(
        "import anyio\nasync def tick():\n    while True:\n        await anyio.sleep(60)",
        "nursery.start_soon(tick)",
        "# task\nprint('begun')\nawait anyio.sleep(3600)",
        "%tasks",
        "%tasks --live",
        "'after'",
        front_end=front_end,
    )
    page.run(0, 1)
    page.start(2)
    page.wait_text(2, "begun")
    page.run(3)
    page.wait_text(3, "tick")
    assert page.find(3, "details")
    page.screenshot(f"tasks-{front_end}")

    page.start(4)
    page.wait_text(4, "tick")
    first = page.text(4)
    page.until(lambda: page.text(4) != first, "the next picture")
    page.screenshot(f"tasks-live-{front_end}")
    page.interrupt()
    page.wait_done(4)
    page.run(5)

    page.wait_text(5, "'after'")
    assert page.prompt(2) == "[*]:"
    page.screenshot(f"tasks-interrupted-{front_end}")


def test_errors_look_as_people_expect(open_notebook: Callable[..., Any]) -> None:
    page = open_notebook(
        "import anyio",
        "%%deadline 100ms\nimport time\ntime.sleep(60)",
        "%%deadline 100ms\nawait anyio.sleep(60)",
        "async def fail(message):\n    raise ValueError(message)\n\n"
        "async with anyio.create_task_group() as tasks:\n"
        "    tasks.start_soon(fail, 'first')\n    tasks.start_soon(fail, 'second')\n"
        "    tasks.start_soon(anyio.sleep, 60)",
        "nursery.start_soon(fail, 'in the background')",
    )
    page.run(0)
    for cell, error in ((1, "TimeoutError"), (2, "TimeoutError"), (3, "ExceptionGroup")):
        page.run(cell)
        page.wait_text(cell, error)
    page.run(4)
    page.wait_text(4, "in the background")
    page.screenshot("errors")


def test_a_cell_beside_others_is_cancelled_alone(open_notebook: Callable[..., Any]) -> None:
    page = open_notebook(
        "import anyio, threading\nasync def tick():\n    await anyio.sleep(3600)\nnursery.start_soon(tick)",
        "# task\nawait anyio.sleep(3600)",
        "# thread\nimport time\nwhile True: time.sleep(0.01)",
        "from async_kernel.utils import get_kernel\n"
        "tree = get_kernel().task_tree()\n"
        "ids = [node['id'] for lane in tree['children'] for node in lane['children']"
        " if node['kind'] == 'cell' and '3600' in node['name']]",
        "%cancel {ids[0]}",
        "%cancel task-1",
        "%cancel task-1",
    )
    page.run(0)
    page.start(1, 2)
    page.until(lambda: (page.prompt(1), page.prompt(2)) == ("[*]:", "[*]:"), "both to run")
    page.run(3, 4)
    page.wait_text(1, "Cancelled")
    page.wait_text(4, "awaiting")
    assert page.prompt(2) == "[*]:"
    page.run(5, 6)
    page.wait_text(6, "task-1")
    page.screenshot("cancelled")


def test_a_subshell_console_runs_beside_a_blocking_cell(open_notebook: Callable[..., Any]) -> None:
    page = open_notebook("value = 41", "import time\nwhile not done.is_set(): time.sleep(0.05)")
    page.add("import threading; done = threading.Event()")
    page.run(0, 2)
    page.start(1)
    page.until(lambda: page.prompt(1) == "[*]:", "the cell to block")

    page.command("notebook:create-subshell-console", activate=True)
    page.until(lambda: page.element(f"{CONSOLE} .jp-CodeConsole-promptCell .cm-content"), "the console")
    subshell = "return app.shell.currentWidget?.sessionContext?.session?.kernel?.subshellId"
    page.until(lambda: page.panel(subshell), "its subshell, without which it would wait behind the cell")
    page.enter(f"{CONSOLE} .jp-CodeConsole-promptCell .cm-content", "value + 1")
    page.until(lambda: "42" in page.element(f"{CONSOLE} .jp-CodeConsole-content").text, "the answer")
    page.screenshot("subshell-console")
    assert page.prompt(1) == "[*]:"

    page.enter(f"{CONSOLE} .jp-CodeConsole-promptCell .cm-content", "done.set()")
    page.wait_done(1)


def test_a_slider_of_a_subshell_works_while_a_cell_of_the_notebook_blocks(open_notebook: Callable[..., Any]) -> None:
    page = open_notebook(
        "import threading, ipywidgets\ndone, seen = threading.Event(), []",
        "import time\nwhile not done.is_set(): time.sleep(0.05)",
        "print(seen, len({thread for _, thread in seen} - {threading.get_ident()}))",
    )
    page.run(0)
    page.start(1)
    page.until(lambda: page.prompt(1) == "[*]:", "the cell to block")
    page.command("notebook:create-subshell-console", activate=True)
    prompt = f"{CONSOLE} .jp-CodeConsole-promptCell .cm-content"
    page.until(lambda: page.element(prompt), "the console")
    subshell = "return app.shell.currentWidget?.sessionContext?.session?.kernel?.subshellId"
    page.until(lambda: page.panel(subshell), "its subshell")
    page.enter(prompt, "slider = ipywidgets.IntSlider(value=3)")
    page.enter(prompt, "slider.observe(lambda c: seen.append((c['new'], threading.get_ident())), 'value')")
    page.enter(prompt, "display(slider)")
    handle = f"{CONSOLE} .noUi-handle"
    page.until(lambda: page.element(handle), "the slider")
    page.element(handle).send_keys("\ue014")  # the right arrow
    page.enter(prompt, "print('now', slider.value)")
    page.until(lambda: "now 4" in page.element(f"{CONSOLE} .jp-CodeConsole-content").text, "the new value")
    page.screenshot("subshell-slider")
    assert page.prompt(1) == "[*]:"

    page.enter(prompt, "done.set()")
    page.wait_done(1)
    page.run(2)
    page.wait_text(2, "[(4, ")
    assert page.text(2).strip().endswith("1")  # in the subshell's thread
