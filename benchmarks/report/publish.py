"""The figures in the documentation: result, tables and plots in ``docs/benchmarks``, blocks of ``docs/performance.md``.

A block is what stands between ``<!-- benchmark: NAME -->`` and ``<!-- /benchmark -->``; it is written anew, all else of
the page stays. So the page that explains the figures never says other ones than the run that is beside it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks.errors import BenchError
from benchmarks.report import markdown, plots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.results import Results

__all__ = ["BLOCKS", "publish", "replace_blocks"]

PAGE = "performance.md"
FOLDER = "benchmarks"
BLOCKS: dict[str, Callable[[Results], str]] = {
    "about": markdown.about,
    "glance": markdown.glance,
    "goals": markdown.goal_table,
    "figures": markdown.goal_figures,
    "curves": markdown.curve_shapes,
    "pictures": markdown.pictures,
}
_BLOCK = re.compile(r"(<!-- benchmark: (\w+) -->\n).*?(<!-- /benchmark -->)", re.DOTALL)


def publish(results: Results, docs: Path) -> None:
    """Write all of the documentation that comes from a run.

    Raises:
        BenchError: if the page is not there, or has a block that is not known.
    """
    page, folder = docs / PAGE, docs / FOLDER
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as e:
        raise BenchError(f"there is no page to write to: {e}") from e
    page.write_text(replace_blocks(text, results), encoding="utf-8")
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_bytes(results.to_json())
    (folder / "results.md").write_text(markdown.render(results), encoding="utf-8")
    if plots.can_plot():
        for old in folder.glob("*.svg"):
            old.unlink()
        plots.draw(results, folder)


def replace_blocks(text: str, results: Results) -> str:
    """A page with its blocks written anew."""

    def write(block: re.Match[str]) -> str:
        begin, name, end = block.groups()
        if name not in BLOCKS:
            raise BenchError(f"the page has a block {name!r}; there are {', '.join(BLOCKS)}")
        return f"{begin}\n{BLOCKS[name](results)}\n{end}"

    return _BLOCK.sub(write, text)
