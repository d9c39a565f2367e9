"""The notebook of the documentation runs from its first cell to its last, on both backends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

if TYPE_CHECKING:
    from tests.e2e.harness.subject import Subject

NOTEBOOK = Path(__file__).parents[2] / "docs" / "demo.ipynb"
SECONDS = 60.0


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)  # pyright: ignore -- it has no types


@pytest.fixture(scope="module")
def shown(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """The outputs of each cell that was run, by the last line of its code."""
    place = {"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}}
    notebook = read()
    NotebookClient(notebook, kernel_name=subject.name, timeout=SECONDS, resources=place).execute()
    return {cell.source.splitlines()[-1].strip(): cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def text(outputs: list[Any]) -> str:
    return "".join(output.text for output in outputs if output.output_type == "stream")


@pytest.mark.parametrize(
    ("last_line", "expected"),
    [
        pytest.param('await advance("apples", 1.5)', "apples is done\n", id="task"),
        pytest.param("print(day)", "Monday\nTuesday\nWednesday\n", id="thread"),
        pytest.param('cell.nursery.start_soon(greet, "Ada", 0.1)', "Hello, Ada\nHello, Grace\n", id="children"),
        pytest.param("%cancel {clock}", "cancelled task", id="cancel"),
    ],
)
def test_its_cells_say_what_they_should(shown: dict[str, list[Any]], last_line: str, expected: str) -> None:
    assert expected in text(shown[last_line])


@pytest.mark.parametrize(
    ("last_line", "error"),
    [
        pytest.param("pass", "TimeoutError", id="computing"),
        pytest.param("await anyio.sleep(60)", "TimeoutError", id="awaiting"),
        pytest.param("tasks.start_soon(anyio.sleep, 60)", "ExceptionGroup", id="group"),
        pytest.param("await anyio.sleep(0.1)", "LookupError", id="background"),
    ],
)
def test_its_cells_fail_where_they_should(shown: dict[str, list[Any]], last_line: str, error: str) -> None:
    assert [output.ename for output in shown[last_line] if output.output_type == "error"] == [error]


def test_it_shows_the_tree_of_what_runs(shown: dict[str, list[Any]]) -> None:
    (tree,) = shown["%tasks"]
    assert "clock" in tree.data["text/plain"]
    assert "<b>clock</b>" in tree.data["text/html"]


def test_it_is_kept_without_outputs() -> None:
    notebook = read()
    assert [cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs] == []
