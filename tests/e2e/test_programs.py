"""Programs that people run notebooks with: nbclient, papermill, nbconvert, jupyter run, jupyter_client's managers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager, KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

from tests.e2e.harness.client import wait_for

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.e2e.harness.snippets import Snippets
    from tests.e2e.harness.subject import Subject


def notebook(subject: Subject, snippets: Snippets) -> Any:
    """A notebook of 50 cells of all sorts."""
    cells = [new_code_cell("import sys\ntotal = 0")]
    for n in range(12):
        cells += [
            new_code_cell(f"print('cell {n}')\nprint('error {n}', file=sys.stderr)"),
            new_code_cell(f"total += {n}\ntotal"),
            new_code_cell(f"await {snippets.sleep}\ndisplay({n})\n!echo shell {n}"),
            new_code_cell(f"1/({n} - {n})", metadata={"tags": ["raises-exception"]}),
        ]
    cells.append(new_code_cell("total"))
    assert len(cells) == 50
    metadata = {"kernelspec": {"name": subject.name, "display_name": subject.name, "language": "python"}}
    return new_notebook(cells=cells, metadata=metadata)


def check(done: Any) -> None:
    """Every cell of the notebook has what it made."""
    cells = [cell for cell in done.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for n in range(12):
        printed, result, display, error = cells[1 + 4 * n : 5 + 4 * n]
        for name, text in (("stdout", f"cell {n}\n"), ("stderr", f"error {n}\n")):
            assert "".join(output.text for output in printed.outputs if output.name == name) == text
        assert result.outputs[0].data["text/plain"] == str(n * (n + 1) // 2)
        assert display.outputs[0].data["text/plain"] == str(n)
        assert display.outputs[1].text.strip() == f"shell {n}"
        assert error.outputs[0].ename == "ZeroDivisionError"
    assert cells[-1].outputs[0].data["text/plain"] == "66"


def start(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of the environment to its end."""
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def run(*command: str, folder: Path) -> str:
    """Run a program that shall succeed; what it printed."""
    done = start(*command, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nbclient(subject: Subject, snippets: Snippets, tmp_path: Path) -> None:
    done = NotebookClient(
        notebook(subject, snippets), timeout=60, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    check(done)


def test_nbclient_says_which_cell_failed(subject: Subject, snippets: Snippets) -> None:
    cells = [new_code_cell("1"), new_code_cell("raise LookupError('here')"), new_code_cell("'never'")]
    failing = notebook(subject, snippets)
    failing.cells = cells
    with pytest.raises(CellExecutionError, match="here"):
        NotebookClient(failing, timeout=60).execute()
    assert cells[2].execution_count is None


def test_nbclient_gives_up_on_a_cell(subject: Subject, snippets: Snippets) -> None:
    slow = notebook(subject, snippets)
    slow.cells = [new_code_cell("import time\ntime.sleep(3600)"), new_code_cell("'after'")]
    NotebookClient(
        slow, timeout_func=lambda cell: 1 if cell is slow.cells[0] else 60, interrupt_on_timeout=True, allow_errors=True
    ).execute()
    assert slow.cells[0].outputs[0].ename == "KeyboardInterrupt"
    assert slow.cells[1].outputs[0].data["text/plain"] == "'after'"


def test_papermill(subject: Subject, snippets: Snippets, tmp_path: Path) -> None:
    source = notebook(subject, snippets)
    for cell in source.cells[4:-1:4]:
        cell.source = "'no error'"  # papermill knows no tag for errors that are expected
    source.cells[0].metadata["tags"] = ["parameters"]
    source.cells[-1].source = "parameter"
    nbformat.write(source, tmp_path / "in.ipynb")
    run("papermill", "in.ipynb", "out.ipynb", "-p", "parameter", "17", "--no-progress-bar", folder=tmp_path)
    done = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert done.cells[-1].outputs[0].data["text/plain"] == "17"
    assert done.metadata.papermill.exception is None
    assert "parameter = 17" in done.cells[1].source
    assert done.cells[3].outputs[0].data["text/plain"] == "0"


def test_nbconvert(subject: Subject, snippets: Snippets, tmp_path: Path) -> None:
    nbformat.write(notebook(subject, snippets), tmp_path / "in.ipynb")
    run("nbconvert", "--to", "notebook", "--execute", "in.ipynb", "--output", "out.ipynb", folder=tmp_path)
    check(nbformat.read(tmp_path / "out.ipynb", as_version=4))


def failing_notebook(subject: Subject, snippets: Snippets, path: Path) -> None:
    failing = notebook(subject, snippets)
    failing.cells = [new_code_cell("1 / 0"), new_code_cell("'after'")]
    nbformat.write(failing, path)


def test_nbconvert_stops_at_an_error(subject: Subject, snippets: Snippets, tmp_path: Path) -> None:
    failing_notebook(subject, snippets, tmp_path / "in.ipynb")
    done = start("nbconvert", "--to", "notebook", "--execute", "in.ipynb", "--output", "out.ipynb", folder=tmp_path)
    assert done.returncode != 0
    assert "division by zero" in done.stderr
    assert not (tmp_path / "out.ipynb").exists()


def test_nbconvert_with_errors_allowed(subject: Subject, snippets: Snippets, tmp_path: Path) -> None:
    failing_notebook(subject, snippets, tmp_path / "in.ipynb")
    run("nbconvert", "--to", "html", "--execute", "--allow-errors", "in.ipynb", folder=tmp_path)
    page = (tmp_path / "in.html").read_text("utf-8")
    assert "division by zero" in page
    assert "<pre>'after'</pre>" in page


def test_jupyter_execute(subject: Subject, snippets: Snippets, tmp_path: Path) -> None:
    failing_notebook(subject, snippets, tmp_path / "in.ipynb")
    run("jupyter", "execute", "--allow-errors", "--inplace", "in.ipynb", folder=tmp_path)
    first, second = nbformat.read(tmp_path / "in.ipynb", as_version=4).cells
    assert first.outputs[0].ename == "ZeroDivisionError"
    assert second.outputs[0].data["text/plain"] == "'after'"


def test_papermill_says_which_cell_failed(subject: Subject, snippets: Snippets, tmp_path: Path) -> None:
    failing_notebook(subject, snippets, tmp_path / "in.ipynb")
    done = start("papermill", "in.ipynb", "out.ipynb", "--no-progress-bar", folder=tmp_path)
    assert done.returncode != 0
    assert "PapermillExecutionError" in done.stderr
    assert "ZeroDivisionError: division by zero" in done.stderr
    saved = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert saved.metadata.papermill.exception is True


def test_jupyter_run_says_what_failed(subject: Subject, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print('first')\n1 / 0\n")
    done = start("jupyter_client.runapp", f"--kernel={subject.name}", "script.py", folder=tmp_path)
    assert (done.returncode != 0, done.stdout) == (True, "first\n")
    assert "division by zero" in done.stderr


def test_jupyter_run(subject: Subject, snippets: Snippets, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(f"print('first')\nawait {snippets.sleep}\nprint('second')\n")
    out = run("jupyter_client.runapp", f"--kernel={subject.name}", "script.py", folder=tmp_path)
    assert out == "first\nsecond\n"


# -- jupyter_client's own managers ---------------------------------------------------------------------------------


@pytest.fixture
def manager(subject: Subject) -> Generator[KernelManager]:
    """A started kernel manager."""
    manager = KernelManager(kernel_name=subject.name)
    manager.start_kernel()
    yield manager
    manager.shutdown_kernel(now=True)


def execute(kc: Any, code: str) -> str:
    """Run a cell; what it printed."""
    printed: list[str] = []
    reply = kc.execute_interactive(
        code, timeout=30, output_hook=lambda msg: printed.append(msg["content"].get("text", ""))
    )
    assert reply["content"]["status"] == "ok"
    return "".join(printed)


def test_the_blocking_client(manager: KernelManager) -> None:
    kc = manager.client()
    kc.start_channels()
    kc.wait_for_ready(timeout=30)
    assert execute(kc, "print('hello')") == "hello\n"
    wait_for(kc.is_alive, "the heartbeat")
    kc.stop_channels()


def test_the_manager_restarts_and_shuts_down_in_order(manager: KernelManager) -> None:
    kc = manager.client()
    kc.start_channels()
    kc.wait_for_ready(timeout=30)
    execute(kc, "before = 1")
    first = manager.provisioner.process
    manager.restart_kernel()
    assert first.returncode == 0
    kc.wait_for_ready(timeout=30)
    assert execute(kc, "print('before' in globals())") == "False\n"
    second = manager.provisioner.process
    manager.shutdown_kernel()
    assert second.returncode == 0
    kc.stop_channels()


def test_the_manager_interrupts(manager: KernelManager) -> None:
    kc = manager.client()
    kc.start_channels()
    kc.wait_for_ready(timeout=30)
    cell = kc.execute("print('ready', flush=True)\nimport time; time.sleep(3600)")
    while kc.get_iopub_msg(timeout=30)["msg_type"] != "stream":
        pass
    manager.interrupt_kernel()
    # wait_for_ready may have asked for kernel_info more than once.
    while (reply := kc.get_shell_msg(timeout=30))["parent_header"]["msg_id"] != cell:
        pass
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert execute(kc, "print('next')") == "next\n"
    kc.stop_channels()


def test_the_async_client(subject: Subject) -> None:
    async def main() -> None:
        manager = AsyncKernelManager(kernel_name=subject.name)
        await manager.start_kernel()
        kc = manager.client()
        kc.start_channels()
        try:
            await kc.wait_for_ready(timeout=30)
            printed: list[str] = []
            reply = await kc.execute_interactive(
                "print('hello')", timeout=30, output_hook=lambda msg: printed.append(msg["content"].get("text", ""))
            )
            assert (reply["content"]["status"], "".join(printed)) == ("ok", "hello\n")
        finally:
            kc.stop_channels()
            await manager.shutdown_kernel()
        assert (
            manager.provisioner is None
            or manager.provisioner.process is None
            or manager.provisioner.process.returncode == 0
        )

    asyncio.run(main())


def test_the_async_client_asks_interrupts_and_restarts(subject: Subject, snippets: Snippets) -> None:
    async def main() -> None:
        manager = AsyncKernelManager(kernel_name=subject.name)
        await manager.start_kernel()
        kc = manager.client()
        kc.start_channels()
        shown: list[str] = []

        async def cell(code: str, on_output: Any = None) -> Any:
            def show(msg: Any) -> None:
                shown.append(msg["content"].get("text", ""))
                if on_output is not None and msg["msg_type"] == "stream":
                    on_output()

            async def answer(_: Any) -> None:
                kc.input("Ada")

            reply = await kc.execute_interactive(code, timeout=30, output_hook=show, stdin_hook=answer)
            return reply["content"]

        try:
            await kc.wait_for_ready(timeout=30)
            assert (await cell("print('hello', input('who? '))"))["status"] == "ok"
            assert "".join(shown) == "hello Ada\n"
            interrupts: list[asyncio.Task[None]] = []
            reply = await cell(
                f"print('ready'); await {snippets.wait_forever}",
                lambda: interrupts.append(asyncio.create_task(manager.interrupt_kernel())),
            )
            await asyncio.gather(*interrupts)
            assert reply["ename"] == "KeyboardInterrupt"
            await manager.restart_kernel()
            await kc.wait_for_ready(timeout=30)
            assert (await cell("1 + 1"))["execution_count"] == 1
        finally:
            kc.stop_channels()
            await manager.shutdown_kernel()

    asyncio.run(main())


def test_the_threaded_client(manager: KernelManager) -> None:
    manager.client_class = "jupyter_client.threaded.ThreadedKernelClient"
    manager.client_factory  # noqa: B018 -- traitlets resolves the class
    kc = manager.client()
    got: list[dict[str, Any]] = []
    kc.start_channels()
    try:
        for channel in (kc.shell_channel, kc.iopub_channel):
            channel.call_handlers = got.append
        kc.execute("print('hello')")
        wait_for(lambda: {"execute_reply", "idle"} <= {_kind(m) for m in list(got)}, "messages")
    finally:
        kc.stop_channels()
    assert "".join(m["content"]["text"] for m in got if m["msg_type"] == "stream") == "hello\n"


def _kind(msg: dict[str, Any]) -> str:
    return msg["content"].get("execution_state", msg["msg_type"])
