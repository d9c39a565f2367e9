"""A notebook open in the browser, in JupyterLab or in Notebook 7.

Both are the same application inside and offer it to scripts (``window.jupyterapp``): its commands are what menus and
keys do, so tests use them where the look of a menu is not the point. What a user sees is read from the page itself.
Waiting is the browser's: a condition is looked at again and again until it holds.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from selenium.common.exceptions import JavascriptException, StaleElementReferenceException, TimeoutException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from selenium.webdriver.remote.webelement import WebElement

    from tests.browser.harness.server import Server

__all__ = ["FrontEnd", "Page"]

FrontEnd = Literal["lab", "notebook"]

SECONDS = 1.0
PATIENCE = 90 * SECONDS
"""Until something is taken for never to come. With eight busy programs for each core JupyterLab needed 30 to open."""

PANEL = """
const app = window.jupyterapp;
const panel = Array.from(app?.shell?.widgets('main') ?? []).find((one) => one.context?.path === NAME);
"""


class Page:
    """One notebook in the browser's window.

    Args:
        driver: the browser, a ``selenium.webdriver.Chrome`` (whose own types are full of holes).
        server: which serves the notebook.
        name: of the notebook's file.
        front_end: the program to open it in.
        pictures: where :meth:`screenshot` puts its files.
    """

    def __init__(self, driver: Any, server: Server, name: str, *, front_end: FrontEnd = "lab", pictures: Path) -> None:
        self.driver = driver
        self.server = server
        self.name = name
        self.front_end: FrontEnd = front_end
        self.pictures = pictures

    # -- open and close --------------------------------------------------------------------------------------

    def open(self) -> None:
        """Show the notebook and wait until its kernel can be used."""
        # Each has a workspace of its own, so that what was open before does not come back.
        place = f"lab/workspaces/{self.name[:-6]}/tree" if self.front_end == "lab" else "notebooks"
        self.driver.get(f"{self.server.url}/{place}/{self.name}?token={self.server.token}")
        self.until(lambda: self.panel("return panel?.sessionContext.session?.kernel?.status === 'idle'"), "the kernel")

    def close(self) -> None:
        """Shut the kernel down and leave the page."""
        self.panel_async("await panel.sessionContext.shutdown()")
        self.driver.get("about:blank")

    # -- scripts ---------------------------------------------------------------------------------------------

    def panel(self, script: str, *args: Any) -> Any:
        """Run JavaScript with ``app`` and ``panel`` (the notebook's) at hand; returns what it returns."""
        return self.driver.execute_script(f"const NAME = {self.name!r};{PANEL}{script}", *args)

    def panel_async(self, script: str, *args: Any) -> Any:
        """The same for JavaScript that awaits."""
        code = f"""
        const done = arguments[arguments.length - 1];
        const args = arguments;
        const NAME = {self.name!r};
        const run = async () => {{ {PANEL} {script} }};
        run().then((value) => done({{value}}), (error) => done({{error: String(error)}}));
        """
        outcome: dict[str, Any] = self.driver.execute_async_script(code, *args)
        if "error" in outcome:
            raise JavascriptException(outcome["error"])
        return outcome.get("value")

    def command(self, name: str, **args: Any) -> None:
        """Start a command of the application (what a menu entry does), without waiting for its end."""
        self.panel("app.commands.execute(arguments[0], arguments[1]).catch(() => {})", name, args)

    # -- cells -----------------------------------------------------------------------------------------------

    def add(self, source: str) -> int:
        """Add a cell at the end; returns its number."""
        return self.panel(
            """
            panel.model.sharedModel.addCell({cell_type: 'code', source: arguments[0]});
            return panel.content.widgets.length - 1;
            """,
            source,
        )

    def start(self, *cells: int) -> None:
        """Run cells as a user does who presses the keys one after another, without waiting for their end."""
        for cell in cells:
            self.panel("panel.content.activeCellIndex = arguments[0];", cell)
            self.command("notebook:run-cell")

    def run(self, *cells: int) -> None:
        """Run cells, and wait until all have ended; what they print may be drawn a moment later (:meth:`wait_text`)."""
        self.start(*cells)
        for cell in cells:
            self.wait_done(cell)

    def wait_done(self, cell: int) -> None:
        """Wait until a cell has its number."""
        self.until(lambda: re.fullmatch(r"\[\d+\]:", self.prompt(cell)) is not None, f"the end of cell {cell}")

    def prompt(self, cell: int) -> str:
        """What stands beside a cell: ``[1]:``, or ``[*]:`` while it runs."""
        return self._cell(cell).find_element(By.CLASS_NAME, "jp-InputPrompt").text.strip()

    def text(self, cell: int) -> str:
        """The text that a user reads below a cell."""
        return self.panel(
            """
            const output = panel.content.widgets[arguments[0]].node.querySelector('.jp-Cell-outputWrapper');
            return output ? output.innerText : '';
            """,
            cell,
        )

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        """The outputs of a cell as they would be saved."""
        return self.panel("return panel.content.widgets[arguments[0]].model.outputs.toJSON()", cell)

    def find(self, cell: int, selector: str) -> list[WebElement]:
        """The elements below a cell that match a CSS selector."""
        return self._cell(cell).find_elements(By.CSS_SELECTOR, f".jp-Cell-outputWrapper {selector}")

    def wait_text(self, cell: int, text: str) -> None:
        """Wait until a text can be read below a cell."""
        self.until(lambda: text in self.text(cell), f"{text!r} below cell {cell}")

    def interrupt(self) -> None:
        """Interrupt the kernel, as the button does."""
        self.panel_async("await panel.sessionContext.session.kernel.interrupt()")

    def screenshot(self, name: str) -> Path:
        """Save what the window shows; returns the file."""
        file = self.pictures / f"{name}.png"
        self.driver.save_screenshot(str(file))
        return file

    # -- the rest of the window --------------------------------------------------------------------------------

    def element(self, selector: str) -> WebElement | None:
        """The first element that matches a CSS selector, in the whole window."""
        found: list[WebElement] = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found[0] if found else None

    def enter(self, selector: str, text: str) -> None:
        """Click on an editor, type, and press shift and enter."""
        self.driver.find_element(By.CSS_SELECTOR, selector).click()
        keys = ActionChains(self.driver).send_keys(text)
        keys.key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()

    # -- waiting ---------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
        """Wait until a condition holds.

        Raises:
            TimeoutException: if it does not within ``seconds``; says ``what`` was waited for, and leaves a picture.
        """

        def holds(_: object) -> bool:
            return bool(condition())

        waiting: WebDriverWait[Any] = WebDriverWait(
            self.driver,
            seconds,
            poll_frequency=0.05,
            ignored_exceptions=[JavascriptException, StaleElementReferenceException],
        )
        try:
            waiting.until(holds)
        except TimeoutException:
            picture = self.screenshot(f"failed-{self.name[:-6]}")
            msg = f"waited in vain for {what}; see {picture}\n{self.complaints()}"
            raise TimeoutException(msg) from None

    def complaints(self) -> str:
        """What the browser's console says is wrong."""
        entries: Sequence[dict[str, Any]] = self.driver.get_log("browser")
        return "\n".join(entry["message"] for entry in entries)

    def _cell(self, cell: int) -> WebElement:
        return self.panel("return panel.content.widgets[arguments[0]].node", cell)
