"""Widgets and plots, moved and looked at in JupyterLab and Notebook 7."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.harness.page import Page

IMPORT = "import anyio, ipywidgets\nfrom ipywidgets import *\nslider = IntSlider(max=10, description='n')"

pytestmark = pytest.mark.parametrize("front_end", ["lab", "notebook"])


def move(page: Page, cell: int) -> None:
    """Click on the middle of the slider below a cell, which is 5."""
    page.until(lambda: page.find(cell, ".noUi-target"), "the slider")
    page.find(cell, ".noUi-target")[0].click()
    page.until(lambda: page.find(cell, ".widget-readout")[0].text == "5", "the slider to move")


def test_interact_follows_the_slider(open_notebook: Callable[..., Page], front_end: Any) -> None:
    page = open_notebook(
        IMPORT,
        "@interact(n=slider)\n"
        "async def square(n):\n    await anyio.sleep(0)\n    print(f'the square of {n} is {n**2}')",
        "slider.value",
        front_end=front_end,
    )
    page.run(0, 1)
    move(page, 1)
    page.wait_text(1, "the square of 5 is 25")
    page.screenshot(f"interact-{front_end}")
    page.run(2)
    assert page.text(2).strip().endswith("5")


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_callback_that_fails_shows_its_error_below_the_cell(
    open_notebook: Callable[..., Page], front_end: Any, kind: str
) -> None:
    callback = f"{kind} fails(change):\n    1 / 0\nslider.observe(fails, 'value')"
    page = open_notebook(f"{IMPORT}\n{callback}\ndisplay(slider)", "'alive'", front_end=front_end)
    page.run(0)
    move(page, 0)
    page.wait_text(0, "ZeroDivisionError")
    page.screenshot(f"callback-error-{kind.replace(' ', '-')}-{front_end}")
    page.run(1)
    assert "'alive'" in page.text(1)


def test_output_widgets_collect_from_tasks_and_threads(open_notebook: Callable[..., Page], front_end: Any) -> None:
    page = open_notebook(
        IMPORT + "\nout = Output(layout={'border': '1px solid teal'})\nout",
        "def work():\n    with out: print('from a thread')\n"
        "async def task():\n    with out:\n        await anyio.sleep(0)\n        print('from a task')\n"
        "nursery.start_soon(task)\nawait session.all_ended()\nawait anyio.to_thread.run_sync(work)\nprint('the cell')",
        front_end=front_end,
    )
    page.run(0, 1)
    for text in ("from a task", "from a thread"):
        page.wait_text(0, text)
    assert page.text(1).strip().splitlines()[-1] == "the cell"
    assert "from a t" not in page.text(1)
    page.screenshot(f"output-{front_end}")


def test_a_cell_awaits_a_click_and_a_progress_bar_runs(open_notebook: Callable[..., Page], front_end: Any) -> None:
    page = open_notebook(
        IMPORT + "\nbutton = Button(description='go on')\nclicked = anyio.Event()\n"
        "button.on_click(lambda b: clicked.set())\ndisplay(button)",
        "from tqdm.auto import tqdm\nfor i in tqdm(range(20), desc='works'): await anyio.sleep(0.01)\n"
        "await clicked.wait()\nprint('clicked')",
        front_end=front_end,
    )
    page.run(0)
    page.start(1)
    page.wait_text(1, "20/20")
    assert page.prompt(1) == "[*]:"
    page.find(0, "button")[0].click()
    page.wait_text(1, "clicked")
    page.screenshot(f"progress-{front_end}")
    assert page.find(1, ".widget-hprogress, .jupyter-widget-hprogress, .progress, .jupyter-widgets")


def test_plots(open_notebook: Callable[..., Page], front_end: Any) -> None:
    page = open_notebook(
        "import matplotlib.pyplot as plt, anyio\nplt.plot([1, 3, 2]);",
        "plt.title('first')\nawait anyio.sleep(1)\nplt.plot([1]);",
        "# task\nplt.title('second')\nplt.plot([2]);",
        front_end=front_end,
    )
    page.run(0)
    page.until(lambda: page.find(0, "img"), "the plot")
    page.start(1, 2)
    for cell in (1, 2):
        page.until(lambda cell=cell: page.find(cell, "img"), "the plot of its own cell")
        assert len(page.find(cell, "img")) == 1
    page.screenshot(f"plots-{front_end}")


def test_interactive_plots(open_notebook: Callable[..., Page], front_end: Any) -> None:
    page = open_notebook(
        "%matplotlib widget\nimport matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\n"
        "seen = []\nfigure.canvas.mpl_connect('button_press_event', lambda event: seen.append(event.button))\n"
        "axes.plot([1, 3, 2]);",
        "len(seen) > 0",
        "axes.plot([3, 1, 1])\nfigure.canvas.draw_idle()",
        front_end=front_end,
    )
    page.run(0)
    page.until(lambda: page.find(0, "canvas"), "the canvas")
    page.find(0, "canvas")[-1].click()
    page.until(lambda: (page.run(1), "True" in page.text(1))[1], "the click in the kernel")
    drawn = "return panel.content.widgets[0].node.querySelector('.jp-Cell-outputWrapper canvas').toDataURL()"
    before = page.panel(drawn)
    page.run(2)
    page.until(lambda: page.panel(drawn) != before, "the second line in the figure")
    page.screenshot(f"ipympl-{front_end}")


DEEP = """
const roots = (node) => [...(node.shadowRoot ? node.shadowRoot.children : []), ...node.children];
const below = (node) => [node, ...roots(node).flatMap(below)];
const all = below(panel.content.widgets[arguments[0]].node.querySelector('.jp-Cell-outputWrapper'));
"""
"""All elements below a cell, also those in roots of their own, in which bokeh draws."""


def test_panel_follows_its_slider_both_ways(open_notebook: Callable[..., Page], front_end: Any) -> None:
    page = open_notebook(
        "import panel\npanel.extension(inline=True)",
        "slider = panel.widgets.IntSlider(end=9)\n"
        "panel.Row(slider, panel.bind(lambda n: f'the square is {n**2}', slider))",
        "slider.value = 5",
        front_end=front_end,
    )

    def wait(text: str) -> None:
        found = "return all.some((node) => node.childElementCount === 0 && node.textContent.includes(arguments[1]))"
        page.until(lambda: page.panel(DEEP + found, 1, text), f"{text!r} below the cell")

    page.run(0, 1)
    wait("the square is 0")
    handle = "all.find((node) => node.className === 'noUi-handle noUi-handle-lower')"
    # It is drawn after its label, and drawn again when its place is known; the front end may take the focus back, too.
    focused = "let at = document.activeElement; while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;"
    ask = f"{DEEP}const handle = {handle}; handle?.focus(); {focused} return handle !== undefined && at === handle"
    page.until(lambda: page.panel(ask, 1), "the focus on the handle of the slider")
    ActionChains(page.driver).send_keys(Keys.ARROW_RIGHT).perform()
    wait("the square is 1")
    page.run(2)
    wait("the square is 25")
    page.screenshot(f"panel-{front_end}")
