"""Fixtures of tests in a browser: ``nox -s browsers``; elsewhere they are not collected, or skipped.

``open_notebook`` opens a notebook of some cells on the backend of the test. Screenshots go to the folder of
``--pictures`` (one folder in it for each backend), to be looked at.
"""

from __future__ import annotations

import importlib.util
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from selenium.webdriver import Chrome

    from tests.browser.harness.page import FrontEnd, Page
    from tests.browser.harness.server import Server
    from tests.e2e.harness.subject import Home, Subject

HAVE_SELENIUM = importlib.util.find_spec("selenium") is not None
HAVE_LAB = importlib.util.find_spec("jupyterlab") is not None

collect_ignore_glob = [] if HAVE_SELENIUM and HAVE_LAB else ["test_*.py"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """One JupyterLab for all tests."""
    from tests.browser.harness.server import jupyter_server

    with jupyter_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Generator[Chrome]:
    """One browser for all tests; skips them when there is none."""
    from tests.browser.harness.chromium import ADVICE, browser_programs, chromium

    if browser_programs() is None:
        pytest.skip(ADVICE)
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of screenshots: that of ``--pictures``, or a temporary one."""
    named = request.config.getoption("--pictures")
    if named is None:
        return tmp_path_factory.mktemp("pictures")
    folder = Path(named)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def open_notebook(server: Server, browser: Chrome, subject: Subject, pictures: Path) -> Generator[Callable[..., Page]]:
    """``open_notebook(*cells, front_end="lab")`` shows a notebook of these cells, its kernel ready."""
    from tests.browser.harness.page import Page

    folder = pictures / subject.backend
    folder.mkdir(exist_ok=True)
    pages: list[Page] = []

    def open_notebook(*cells: str, front_end: FrontEnd = "lab") -> Page:
        name = server.write_notebook(f"{subject.backend}-{next(_numbers)}", subject.name, list(cells))
        page = Page(browser, server, name, front_end=front_end, pictures=folder)
        page.open()
        pages.append(page)
        return page

    yield open_notebook
    for page in pages:
        page.close()
