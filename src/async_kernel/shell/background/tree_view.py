"""A tree of what runs, drawn: as text for a console and as HTML for a notebook."""

from __future__ import annotations

import html
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from async_kernel.shell.running.cell_files import cell_number

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["bundle", "redrawn"]

Node = dict[str, Any]


def bundle(tree: Node) -> dict[str, str]:
    """The tree as a MIME bundle of both forms."""
    return {"text/plain": "\n".join(_text(tree)), "text/html": _html(tree)}


def redrawn(text: str, *, over: int) -> str:
    """The text as a terminal draws it over the ``over`` lines above the cursor.

    Lines that are too long are cut off meanwhile: wrapped, they would take more of the terminal's lines than are known.
    """
    up = f"\x1b[{over}A\r\x1b[J" if over else ""
    return f"{up}\x1b[?7l{text}\x1b[?7h"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.0f} min"


def _words(node: Node) -> list[str]:
    words = [node["state"]]
    if node["age_s"]:
        words.append(_seconds(node["age_s"]))
    if node["deadline_s"] is not None:
        words.append(f"{_seconds(node['deadline_s'])} left")
    return words


def _where(node: Node) -> str:
    if not node["where"]:
        return ""
    last = node["where"][-1]
    number = cell_number(last["file"])
    place = PurePath(last["file"]).name if number is None else f"In[{number}]"
    function = "" if last["function"] == "<module>" else f" in {last['function']}"
    return f"{place}:{last['line']}{function}"


def _title(node: Node) -> str:
    if node["kind"] in ("kernel", "nursery"):
        return node["name"]
    return f"{node['kind']} {node['id']}" + (f": {node['name']}" if node["name"] not in ("", node["id"]) else "")


def _text(node: Node, lead: str = "", follow: str = "") -> Iterator[str]:
    where = _where(node)
    yield f"{lead}{_title(node)}  [{', '.join(_words(node))}]" + (f"  {where}" if where else "")
    children = node["children"]
    for number, child in enumerate(children, 1):
        last = number == len(children)
        yield from _text(child, f"{follow}{'└─ ' if last else '├─ '}", f"{follow}{'   ' if last else '│  '}")


def _html(node: Node) -> str:
    where = _where(node)
    named = node["id"] if node["id"].startswith(node["kind"]) else f"{node['kind']} {node['id']}"
    if node["kind"] in ("kernel", "nursery", "lane"):
        named = ""  # nothing is done to it by its id
    line = (
        f"<b>{html.escape(node['name'] or node['id'])}</b>"
        f" <span style='opacity:.7'>{html.escape(', '.join(_words(node)))}</span>"
        + (f" <code>{html.escape(where)}</code>" if where else "")
        + (f" <small style='opacity:.7'>{html.escape(named)}</small>" if named else "")
    )
    if not node["children"]:
        return f"<div style='padding-left:1.2em'>{line}</div>"
    children = "".join(map(_html, node["children"]))
    return f"<details open style='padding-left:1.2em'><summary>{line}</summary>{children}</details>"
