"""``python -m tests.torture.report RESULTS [PICTURE]``: tables of what the proofs measured, a plot of the leak run.

The ends of kernels are tables of their own, as docs/shutdown.md has them: the slower of both backends.

``RESULTS`` is the file of JSON lines that :mod:`tests.torture.scale` writes. The picture is an SVG: resident memory and
everything that is counted, over the time of the run.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["main"]

COUNTED = ("descriptors", "system threads", "threads", "sockets", "tasks")


def rows(results: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Name, form and figures of each proof; the cells of a shutdown table become one row."""
    found: list[tuple[str, str, str]] = []
    ends: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        figures = {name: value for name, value in result.items() if name not in ("name", "form", "readings")}
        if result["name"].startswith("shutdown"):
            ends[result["name"], result["form"]].append(result)
        else:
            found.append(
                (result["name"], result["form"], ", ".join(f"{name} {value}" for name, value in figures.items()))
            )
    for (name, form), all_ends in ends.items():
        seconds = sorted(end["seconds"] for end in all_ends)
        codes = sorted({end["code"] for end in all_ends if "code" in end})
        text = f"{len(all_ends)} ends, median {seconds[len(seconds) // 2]} s, longest {seconds[-1]} s"
        found.append((name, form, f"{text}, exit codes {codes}" if codes else text))
    return found


def table_of_ends(results: list[dict[str, Any]], name: str) -> str:
    """The seconds of every state and way, in Markdown; in parentheses where the program is told, and waits."""
    slowest: dict[tuple[str, str], dict[str, Any]] = {}
    for end in (each for each in results if each["name"] == name):
        key = end["state"], end["way"]
        if key not in slowest or end["seconds"] > slowest[key]["seconds"]:
            slowest[key] = end
    states, ways = (list(dict.fromkeys(key[at] for key in slowest)) for at in (0, 1))
    rows = [["", *ways], ["---", *["---:"] * len(ways)]]
    for state in states:
        row = [slowest.get((state, way)) for way in ways]
        seconds = [
            f"({end['seconds']:.2f})" if end and end.get("waits") else end and f"{end['seconds']:.2f}" for end in row
        ]
        rows.append([state, *(text or "–" for text in seconds)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def draw(results: list[dict[str, Any]], picture: Path) -> None:
    """Draw the leak runs, one column for each."""
    import matplotlib.pyplot as plt

    runs = [result for result in results if result["name"] == "leaks"]
    if not runs:
        return
    figure, axes = plt.subplots(2, len(runs), figsize=(5 * len(runs), 5), sharex="col", squeeze=False)
    for column, run in enumerate(runs):
        readings = run["readings"]
        times = [reading["seconds"] for reading in readings]
        memory, counts = axes[0][column], axes[1][column]
        memory.plot(times, [reading["rss"] / 1e6 for reading in readings])
        memory.set_ylim(bottom=0)
        memory.set_ylabel("resident memory, MB")
        memory.set_title(f"{run['backend']}: {run['cells']:,} cells, {run['comms']:,} comms,\n"
                         f"{run['subshells']:,} subshells, {run['interrupts']:,} interrupts, "
                         f"{run['generations']} clients", fontsize=9)  # fmt: skip
        for name in COUNTED:
            counts.plot(times, [reading[name] for reading in readings], label=name)
        counts.set_ylim(bottom=0)
        counts.set_xlabel("seconds")
        counts.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(picture, metadata={"Date": None})


def main(arguments: list[str]) -> None:
    """Print the table, and draw the picture if one is named."""
    results = [json.loads(line) for line in Path(arguments[0]).read_text("utf-8").splitlines()]
    table = Table("proof", "form", "figures", title="Nothing lost, nobody in")
    for row in rows(results):
        table.add_row(*row)
    Console().print(table)
    for name in ("shutdown", "shutdown, embedded"):
        if any(result["name"] == name for result in results):
            print(f"\n{name}\n\n{table_of_ends(results, name)}")
    if len(arguments) > 1:
        draw(results, Path(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
