"""Imports point down only, and what costs or is not everywhere is imported in its homes only.

Read from the syntax of every module, so that imports inside functions and for type checkers count, too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "async_kernel"

FLOORS = {
    "platforms": 0,
    "typing": 1,
    "common": 1,
    "slot": 1,
    "arguments": 1,
    "kernelspec": 1,
    "protocol": 1,
    "event_loop": 1,
    "lifetime": 1,
    "transport": 1,
    "shell": 2,
    "channels": 2,
    "utils": 3,
    "kernel": 3,
    "interface": 4,
    "command": 5,
    "__main__": 5,
}
"""The floor of every unit: a package or a module at the top. ``async_kernel`` itself only names what is below it."""


@dataclass(frozen=True)
class Import:
    """An import: who imports what, and whether the module does it when it is imported itself.

    ``runs`` is False for what only a type checker reads.
    """

    path: str
    name: str
    lazy: bool
    runs: bool
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.name}"

    @property
    def importer(self) -> str:
        return unit(self.path.removesuffix(".py").replace("/", "."))

    @property
    def imported(self) -> str | None:
        """The unit of ours that is imported, if it is one."""
        head, _, rest = self.name.partition(".")
        return unit(rest) if head == "async_kernel" and unit(rest) in FLOORS else None

    def is_of(self, *packages: str) -> bool:
        return any(self.name == package or self.name.startswith(package + ".") for package in packages)


def unit(module: str) -> str:
    return module.split(".")[0]


class Imports(ast.NodeVisitor):
    def __init__(self, path: str) -> None:
        self.path = path
        self.found: list[Import] = []
        self.lazy = False
        self.runs = True

    def add(self, name: str, node: ast.stmt) -> None:
        self.found.append(Import(self.path, name, self.lazy, self.runs, node.lineno))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self.add(f"{'.' * node.level}{node.module or ''}.{alias.name}", node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        before, self.lazy = self.lazy, True
        self.generic_visit(node)
        self.lazy = before

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 -- as ast names it

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)
            return
        before, self.runs = self.runs, False
        for each in node.body:
            self.visit(each)
        self.runs = before
        for each in node.orelse:
            self.visit(each)


def imports_in(path: str, source: str) -> list[Import]:
    visitor = Imports(path)
    visitor.visit(ast.parse(source))
    return visitor.found


MODULES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(ROOT.rglob("*.py"))}
IMPORTS = [found for path, source in MODULES.items() if path != "__init__.py" for found in imports_in(path, source)]
OURS = [found for found in IMPORTS if found.imported is not None]


def test_the_reader_sees_every_kind_of_import() -> None:
    source = """
import a.b
if TYPE_CHECKING:
    from c import d
else:
    import e
async def f():
    from g.h import i, j
"""
    found = [(each.name, each.lazy, each.runs) for each in imports_in("x.py", source)]
    assert found == [
        ("a.b", False, True),
        ("c.d", False, False),
        ("e", False, True),
        ("g.h.i", True, True),
        ("g.h.j", True, True),
    ]


def test_every_module_has_a_floor() -> None:
    assert {unit(path.removesuffix(".py").replace("/", ".")) for path in MODULES} - set(FLOORS) == {"__init__"}


def test_imports_point_down_only() -> None:
    """Type checkers' imports, too. Within the floors 1 to 3, units may know a neighbour; the next tests say which."""
    assert [str(each) for each in OURS if FLOORS[each.imported or ""] > FLOORS[each.importer]] == []


def test_shell_and_channels_do_not_know_each_other() -> None:
    neighbours = {"shell", "channels"}
    assert [str(each) for each in OURS if {each.importer, each.imported} == neighbours] == []


def test_no_two_units_know_each_other() -> None:
    """What a unit needs, directly or not, never needs it."""
    needs: dict[str, set[str]] = {each: set() for each in FLOORS}
    for each in OURS:
        if each.imported != each.importer:
            needs[each.importer].add(each.imported or "")

    def all_needs(name: str) -> set[str]:
        found: set[str] = set()
        left = [name]
        while left:
            new = needs[left.pop()] - found
            found |= new
            left += new
        return found

    assert [name for name in FLOORS if name in all_needs(name)] == []


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """When they are imported: what is imported later, in a function, may refer to one that is there by then."""
    names = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in MODULES}
    needs: dict[str, set[str]] = {}
    for name, path in names.items():
        found = {
            each.name.removeprefix("async_kernel.")
            for each in IMPORTS
            if each.path == path
            if not each.lazy
            if each.runs
        }
        needs[name] = {full for full in found if full in names} | {
            full.rpartition(".")[0] for full in found if full not in names and full.rpartition(".")[0] in names
        }
        needs[name].discard(name)
    circles: list[str] = []
    ended: set[str] = set()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            circles.append(" → ".join([*trail[trail.index(name) :], name]))
        elif name not in ended:
            for each in sorted(needs[name]):
                visit(each, [*trail, name])
            ended.add(name)

    for name in sorted(needs):
        visit(name, [])
    assert circles == []


@dataclass(frozen=True)
class Home:
    """Where a package may be imported: in files and folders, and in some only inside functions."""

    packages: tuple[str, ...]
    anywhere_in: tuple[str, ...]
    lazily_in: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.packages[0]


HOMES = [
    Home(("zmq",), ("transport/", "channels/", "interface/zmq.py")),
    # Its package imports managers, clients and tornado.
    Home(("jupyter_client",), ("interface/session.py",), ("transport/codec.py", "interface/connection.py")),
    Home(
        ("trio",),
        (
            "channels/",
            "transport/owned_socket.py",
            "transport/doorbell.py",
            "interface/zmq.py",
            "interface/process.py",
            "event_loop/trio_guest.py",  # imported where trio is a guest
        ),
        ("lifetime/", "event_loop/", "platforms/", "shell/cells/interrupts.py", "interface/base.py"),
    ),
    # What supervises the user's asyncio tasks is imported when cells run on asyncio.
    Home(
        ("asyncio",), ("shell/background/asyncio_tasks.py", "event_loop/asyncio_guest.py"), ("lifetime/", "event_loop/")
    ),
    Home(("IPython",), ("shell/", "interface/ip_app.py")),
    Home(("threading.Thread",), ("lifetime/owned_thread.py", "lifetime/plain_thread.py")),
    Home(("psutil",), (), ("interface/", "kernel/")),
    Home(("debugpy", "matplotlib", "matplotlib_inline", "uvloop"), (), ("shell/", "kernel/")),
]


@pytest.mark.parametrize("home", HOMES, ids=str)
def test_is_imported_at_home_only(home: Home) -> None:
    abroad = [
        str(each)
        for each in IMPORTS
        if each.is_of(*home.packages) and each.runs
        if not each.path.startswith(home.anywhere_in) and not (each.lazy and each.path.startswith(home.lazily_in))
    ]
    assert abroad == []


def test_a_host_without_sockets_needs_few_packages() -> None:
    """In a browser there is no zmq and no trio; and a shell for another language needs no IPython."""
    code = """
import sys
for name in ("IPython", "jupyter_client", "psutil", "trio", "zmq"):
    sys.modules[name] = None
import async_kernel.interface.callable, async_kernel.kernel, async_kernel.utils
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def uses_of_thread(tree: ast.AST) -> list[int]:
    """Lines that make a thread: ``threading.Thread(...)``, or a subclass of it."""

    def is_thread(node: ast.expr) -> bool:
        return ast.unparse(node) in ("threading.Thread", "Thread", "threading.Timer", "Timer")

    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Call) and is_thread(node.func))
        or (isinstance(node, ast.ClassDef) and any(is_thread(base) for base in node.bases))
    ]


def test_two_modules_make_threads() -> None:
    makers = [path for path, source in MODULES.items() if uses_of_thread(ast.parse(source))]
    assert makers == ["lifetime/owned_thread.py", "lifetime/plain_thread.py"]


def test_clients_are_received_before_anything_large_is_imported() -> None:
    code = """
import sys
import async_kernel.channels.reception, async_kernel.command, async_kernel.interface.launch
import async_kernel.lifetime.plain_thread
large = ("IPython", "anyio", "asyncio", "logging", "psutil", "traitlets", "trio")
print([name for name in large if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
