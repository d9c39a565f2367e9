"""What JupyterLab and its extensions make of a kernel: usage, variables, times of cells, help, packages."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.harness.page import Page


def text_of(page: Page, selector: str) -> str:
    element = page.element(selector)
    return element.text if element is not None else ""


def test_the_variable_inspector_lists_variables(open_notebook: Callable[..., Page]) -> None:
    pytest.importorskip("lckr_jupyterlab_variableinspector")
    page = open_notebook("import numpy\ntable, number = numpy.zeros((3, 4)), 42", "number = 43")
    page.run(0)
    page.command("variableinspector:open")
    page.until(lambda: "3 x 4" in text_of(page, ".jp-VarInspector"), "the array in the inspector")
    assert re.search(r"\bnumber\b.*\b42\b", text_of(page, ".jp-VarInspector"), re.DOTALL)
    page.run(1)
    page.until(lambda: re.search(r"\b43\b", text_of(page, ".jp-VarInspector")), "the new value")
    page.command("variableinspector:open")
    page.until(lambda: "43" in text_of(page, ".jp-VarInspector"), "the inspector in front")
    page.screenshot("variables")


def test_the_usage_panel_shows_the_kernel(open_notebook: Callable[..., Page]) -> None:
    pytest.importorskip("jupyter_resource_usage")
    page = open_notebook("import os\nos.getpid()")
    page.run(0)
    pid = page.outputs(0)[0]["data"]["text/plain"]
    page.panel("app.shell.activateById('kernelusage-panel-id')")
    page.until(lambda: f"Process ID: {pid}" in text_of(page, ".jp-KernelUsage-view"), "the kernel's process")
    shown = text_of(page, ".jp-KernelUsage-view")
    page.screenshot("usage")
    assert re.search(r"CPU: [\d.]+", shown)
    assert re.search(r"Memory: [\d.]+", shown)


def test_cells_keep_when_they_ran(open_notebook: Callable[..., Page]) -> None:
    page = open_notebook("import anyio\nawait anyio.sleep(0.1)")
    page.panel("panel.content.notebookConfig = {...panel.content.notebookConfig, recordTiming: true}")
    page.run(0)
    timing: Any = page.panel("return panel.content.widgets[0].model.getMetadata('execution')")
    times = [timing[key] for key in ("iopub.status.busy", "iopub.execute_input", "shell.execute_reply.started")]
    assert max(times) < min(timing["shell.execute_reply"], timing["iopub.status.idle"])


def test_packages_are_looked_up_where_the_kernel_runs(open_notebook: Callable[..., Page]) -> None:
    page = open_notebook("%pip --version")
    page.run(0)
    page.wait_text(0, f"(python {sys.version_info.major}.{sys.version_info.minor})")
    assert sys.prefix in page.text(0)


def test_the_help_menu_has_the_kernels_links(open_notebook: Callable[..., Page]) -> None:
    page = open_notebook("1")
    page.run(0)
    next(item for item in page.driver.find_elements("css selector", ".lm-MenuBar-item") if item.text == "Help").click()
    page.until(lambda: "Trio Reference" in text_of(page, ".lm-MenuBar-menu, body > .lm-Menu"), "the kernel's links")
    page.screenshot("help")
