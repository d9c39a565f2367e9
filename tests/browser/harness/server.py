"""A JupyterLab server of our own, in a Jupyter home that nobody else uses.

It serves JupyterLab (``/lab``) and Notebook 7 (``/notebooks``). Notebooks are files in its folder. What it says is in a
log, to be read when a test fails.
"""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path
    from typing import IO

__all__ = ["Server", "jupyter_server"]

SECONDS = 1.0
PATIENCE = 30 * SECONDS
"""Far more than a server takes to end."""

SETTINGS = {
    # Cells out of sight would not be in the page.
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
}


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        url: where it listens, without a slash at the end.
        token: what lets a browser in.
        folder: whose files it serves.
        log: what it says.
    """

    url: str
    token: str
    folder: Path
    log: Path

    def write_notebook(self, name: str, kernel: str, cells: Sequence[str]) -> str:
        """Write a notebook of code cells; returns its file name."""
        notebook: dict[str, Any] = {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}},
            "cells": [
                {
                    "id": f"cell-{number}",
                    "cell_type": "code",
                    "source": source,
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                }
                for number, source in enumerate(cells)
            ],
        }
        (self.folder / f"{name}.ipynb").write_text(json.dumps(notebook), "utf-8")
        return f"{name}.ipynb"


@contextmanager
def jupyter_server(folder: Path) -> Generator[Server]:
    """Start a server that serves ``folder``; leaving ends it and its kernels."""
    settings = folder / "settings"
    files = folder / "files"
    for made in (settings, files):
        made.mkdir()
    (settings / "overrides.json").write_text(json.dumps(SETTINGS), "utf-8")
    token = secrets.token_hex(16)
    port = _free_port()
    log = folder / "server.log"
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"),
        *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"),
        *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={files}", "--ServerApp.quit_button=False"),
        *("--JupyterNotebookApp.expose_app_in_browser=True", f"--JupyterNotebookApp.app_settings_dir={settings}"),
        *(f"--LabApp.app_settings_dir={settings}", f"--LabApp.workspaces_dir={folder / 'workspaces'}"),
        *("--LabApp.extension_manager=readonly", "--LabApp.news_url=None"),
    ]
    with (
        ThreadPoolExecutor(1) as reader,
        log.open("w", encoding="utf-8") as log_file,
        subprocess.Popen(
            command, cwd=files, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr is not None
        try:
            _wait_until_it_listens(process.stderr, log_file)
            reader.submit(shutil.copyfileobj, process.stderr, log_file)
            yield Server(f"http://127.0.0.1:{port}", token, files, log)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _wait_until_it_listens(said: IO[str], log: IO[str]) -> None:
    lines: list[str] = []
    for line in said:
        log.write(line)
        lines.append(line)
        if "is running at:" in line:
            return
    msg = f"the Jupyter server did not start:\n{''.join(lines)}"
    raise RuntimeError(msg)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
