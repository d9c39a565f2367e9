"""Messages as nobody should send them, signed with the right key: shaped like real ones, but for a fault or two.

:func:`messages` is a hypothesis strategy of frames. What JSON libraries do not write is written here: keys that occur
twice, numbers that are none, lone surrogates, nesting without end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from async_kernel.kernel.requests import REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CONTENTS", "DELIM", "Deep", "Digits", "Pairs", "message_parts", "to_json", "valid_parts"]

DELIM = b"<IDS|MSG>"


@dataclass(frozen=True)
class Deep:
    """``depth`` lists or objects in one another."""

    depth: int
    is_object: bool


@dataclass(frozen=True)
class Digits:
    """An integer of so many digits."""

    number: int


@dataclass(frozen=True)
class Pairs:
    """An object whose keys may occur twice."""

    items: tuple[tuple[str, Any], ...]


def to_json(value: Any) -> bytes:
    """The JSON of a value, with all that JSON writers refuse."""
    return _text(value).encode()


def _text(value: Any) -> str:
    match value:
        case Deep(depth, True):
            return '{"a":' * depth + "1" + "}" * depth
        case Deep(depth, False):
            return "[" * depth + "]" * depth
        case Digits(number):
            return "9" * number
        case Pairs(items):
            return "{" + ",".join(f"{json.dumps(key)}:{_text(item)}" for key, item in items) + "}"
        case dict():
            return _text(Pairs(tuple(value.items())))
        case list():
            return "[" + ",".join(map(_text, value)) + "]"
        case _:
            return json.dumps(value)


CELL = {
    "code": "1",
    "silent": False,
    "store_history": False,
    "user_expressions": {"a": "1"},
    "allow_stdin": False,
    "stop_on_error": False,
}
CONTENTS: dict[str, dict[str, Any]] = {
    "execute_request": CELL,
    "complete_request": {"code": "pri", "cursor_pos": 3},
    "inspect_request": {"code": "print", "cursor_pos": 3, "detail_level": 0, "omit_sections": []},
    "is_complete_request": {"code": "if 1:"},
    "history_request": {
        "hist_access_type": "tail",
        "raw": True,
        "output": False,
        "session": 0,
        "start": 0,
        "stop": 1,
        "n": 1,
        "pattern": "*",
        "unique": False,
    },
    "comm_open": {"comm_id": "c", "target_name": "t", "data": {}, "target_module": None},
    "comm_msg": {"comm_id": "c", "data": {}},
    "comm_close": {"comm_id": "c", "data": {}},
    "comm_info_request": {"target_name": "t"},
    "kernel_info_request": {},
    "connect_request": {},
    "usage_request": {},
    "interrupt_request": {},
    "shutdown_request": {"restart": False},
    "cancel_request": {"msg_ids": ["m"], "cell_ids": ["c"], "task_ids": ["t"], "subshell_ids": ["s"], "reason": "r"},
    "task_tree_request": {"stacks": False},
    "delete_subshell_request": {"subshell_id": "s"},
    "list_subshell_request": {},
    "drop_counts_request": {},
    "input_reply": {"value": "x", "status": "ok"},
    "debug_request": {"type": "request", "seq": 1, "command": "initialize", "arguments": {"clientID": "x"}},
    "execute_reply": {"status": "ok"},
    "no_such_request": {"a": 1},
}
assert set(REQUESTS) <= {*CONTENTS, "create_subshell_request"}, "a request without content to fuzz"

METADATA = {
    "run_mode": "queue",
    "timeout": 5,
    "tags": ["timeout=5", "raises-exception"],
    "cell": {"tags": []},
    "cellId": "x",
    "deletedCells": [],
    "dependencies_met": True,
}
# Code that does something at most to itself: what is fuzzed is the kernel and not Python.
CODES = [
    "",
    "1",
    "1/0",
    "print('x')",
    "x =",
    "\x00",
    "é\U0001f600",
    "# thread",
    "# task",
    "# thread name=",
    "# thread backend=zzz",
    "# thread 'x",
    "%nomagic",
    "%%nomagic\nx",
    "%%timeout x\n1",
    "%%timeout 1e400\n1",
    "?",
    "print?",
    "raise SystemExit",
    "raise KeyboardInterrupt",
    "raise GeneratorExit",
    "raise BaseException('x')",
    "class A:\n  def __repr__(self): raise KeyboardInterrupt\nA()",
    "\ufeff1",
    "1\r\n2",
    "(" * 500,
    "-" * 20_000 + "1",
    "await 1",
    "return 1",
    "yield 1",
]

_text_values = st.text(st.characters(exclude_categories=()), max_size=8)
_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 1 << 31, 1 << 63, 1 << 64, -(1 << 63) - 1, Digits(400), Digits(5000)]),
    st.floats(),
    _text_values,
    st.sampled_from(
        ["", "\ud800", "\udfff\ud800", "\x00", "x" * 100_000, "ok", "queue", "thread", "s", "c", "%s%n{0}"]
    ),
    st.sampled_from([Deep(depth, kind) for depth in (200, 300, 900, 1020, 5_000) for kind in (True, False)]),
)
values = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(st.tuples(_text_values, inner), max_size=3).map(tuple).map(Pairs)
    ),
    max_leaves=6,
)


def _faulty(valid: dict[str, Any], special: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Pairs]:
    """Objects like ``valid``: a few fields have odd values, are missing, there twice, or new."""

    @st.composite
    def make(draw: Callable[..., Any]) -> Pairs:
        items = list(valid.items())
        for _ in range(draw(st.integers(0, 3))):
            kind = draw(st.sampled_from(["odd", "odd", "missing", "twice", "new"]))
            if kind == "new" or not items:
                items.append((draw(_text_values), draw(values)))
                continue
            number = draw(st.integers(0, len(items) - 1))
            name = items[number][0]
            if kind == "missing":
                del items[number]
            else:
                odd = draw(special[name] if name in special and draw(st.booleans()) else values)
                if kind == "odd":
                    items[number] = name, odd
                else:
                    items.append((name, odd))
        return Pairs(tuple(items))

    return make()


def valid_parts(msg_type: str, msg_id: str, **header: Any) -> list[Any]:
    """Header, parent header, metadata and content of a message without fault."""
    fields = {
        "msg_id": msg_id,
        "msg_type": msg_type,
        "username": "u",
        "session": "s",
        "date": "2030-01-01T00:00:00Z",
        "version": "5.3",
        **header,
    }
    return [fields, {}, METADATA if msg_type == "execute_request" else {}, CONTENTS.get(msg_type, {})]


@st.composite
def message_parts(draw: Callable[..., Any], types: Sequence[str] = tuple(CONTENTS)) -> list[bytes]:
    """The four JSON parts of a message that has a fault somewhere, perhaps."""
    msg_type = draw(st.sampled_from(list(types)))
    header, parent, _, content = valid_parts(msg_type, "m", subshell_id=None)
    special = {"code": st.sampled_from(CODES), "msg_type": st.sampled_from(list(types)), "version": st.just("4.1")}
    where = draw(st.sampled_from(["header", "content", "content", "metadata", "all", "part"]))
    parts: list[Any] = [
        _maybe(draw, where in ("header", "all"), header, special),
        _maybe(draw, where == "all", parent, {}),
        _maybe(draw, where in ("metadata", "all"), METADATA, {}),
        _maybe(draw, where in ("content", "all"), content, special),
    ]
    if where == "part":  # one that is no object
        parts[draw(st.integers(0, 3))] = draw(values)
    encoded = list(map(to_json, parts))
    if where == "part" and draw(st.booleans()):
        encoded[draw(st.integers(0, 3))] = draw(st.binary(max_size=20))
    return encoded


def _maybe(draw: Callable[..., Any], faulty: bool, valid: dict[str, Any], special: dict[str, Any]) -> Any:
    return draw(_faulty(valid, special)) if faulty else valid
