"""A browser that nobody looks at: Chromium without a window, driven by its own driver program."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["browser_programs", "chromium"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ADVICE = "needs a browser and its driver: install chromium and chromedriver (Debian: apt install chromium-driver)"


def browser_programs() -> tuple[str, str] | None:
    """Paths of the browser and of its driver; None if one is missing."""
    driver = shutil.which("chromedriver")
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    return None if driver is None or browser is None else (browser, driver)


@contextmanager
def chromium(profile: Path) -> Generator[Chrome]:
    """Open a browser with an empty profile; leaving closes it.

    Raises:
        RuntimeError: if there is none, with advice.
    """
    programs = browser_programs()
    if programs is None:
        raise RuntimeError(ADVICE)
    options = ChromeOptions()
    options.binary_location = programs[0]
    for argument in (
        "--headless=new",
        "--window-size=1400,1100",
        "--force-device-scale-factor=1",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "WARNING"})
    driver = Chrome(options=options, service=Service(programs[1]))
    try:
        yield driver
    finally:
        driver.quit()
