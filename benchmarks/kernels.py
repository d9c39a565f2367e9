"""The kernels that are measured, as data: what to install, how to start it, how to say things to it.

A kernel is started as its own kernelspec starts it. Where kernels differ in what a cell must say (how to
await, how to ask for concurrency), the difference stands here and not in the measures.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.model import Feature

if TYPE_CHECKING:
    from benchmarks.environments import Environment

__all__ = ["KERNELS", "OUR_DISTRIBUTION", "Kernel", "Recipe", "ours_at"]

OUR_DISTRIBUTION = "async-trio"
FLOOR = Path(__file__).with_name("floor.py")

PYTHON_KERNEL = frozenset(Feature) - {Feature.subshells, Feature.concurrency, Feature.scopes}


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an environment is made of.

    Attributes:
        name: of its folder; kernels with the same recipe share the environment.
        requirements: what is installed from the package index.
        revision: our own project is installed too, at this revision: "" is the working tree, None is not at all.
    """

    name: str
    requirements: tuple[str, ...] = ()
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One kernel in one configuration.

    Attributes:
        name: what ``--kernels`` and the JSON call it.
        group: the project it belongs to; goals speak of projects.
        argv: its command; ``{python}``, ``{bin}`` and ``{file}`` stand for the environment's interpreter, its
            scripts folder and the connection file.
        distribution: whose version is reported.
        features: what it can do; a probe that needs more does not run.
        interrupt_by_signal: what its kernelspec says.
        imports: the modules that its command imports before it can run a cell, IPython's among them.
        set_up: a cell that is run once in each warm session.
        await_once, await_seconds: expressions to await, the latter with ``{seconds}``.
        concurrent: the first line of a cell that shall run beside others; empty if there is no such thing.
        background: code that leaves ``{count}`` tasks sleeping; empty if there is no way.
        boundless: options with which 100,000 requests may wait, where a kernel bounds them.
        only_on_request: not part of a run unless it is asked for by name.
    """

    name: str
    group: str
    recipe: Recipe
    argv: tuple[str, ...]
    distribution: str
    imports: str
    features: frozenset[Feature] = PYTHON_KERNEL
    interrupt_by_signal: bool = False
    set_up: str = "import asyncio, time"
    await_once: str = "asyncio.sleep(0)"
    await_seconds: str = "asyncio.sleep({seconds})"
    concurrent: str = ""
    background: str = "_tasks = [asyncio.create_task(asyncio.sleep(1e6)) for _ in range({count})]"
    boundless: tuple[str, ...] = ()
    only_on_request: bool = False

    def command(self, environment: Environment, file: Path) -> list[str]:
        """The command line that starts it with a connection file."""
        places = {"python": str(environment.python), "bin": str(environment.scripts), "file": str(file)}
        return [part.format(**places) for part in self.argv]


def _trio(kernel: Kernel, background: str) -> Kernel:
    """A kernel's configuration whose cells run on trio."""
    return replace(
        kernel,
        argv=(*kernel.argv, "--backend=trio"),
        set_up="import time, trio",
        await_once="trio.lowlevel.checkpoint()",
        await_seconds="trio.sleep({seconds})",
        background=background,
    )


def ours_at(revision: str, label: str) -> list[Kernel]:
    """This project's kernel in its three configurations, at a git revision ("" for the working tree)."""
    suffix = f"@{label}" if label else ""
    bare = Recipe(f"async-trio-{revision[:12] or 'tree'}", (), revision)
    with_uvloop = Recipe(f"async-trio-uvloop-{revision[:12] or 'tree'}", ("uvloop",), revision)
    common = Kernel(
        name="",
        group=f"ours{suffix}",
        recipe=bare,
        argv=("{python}", "-P", "-m", "async_kernel", "start", "--connection_file={file}"),
        distribution=OUR_DISTRIBUTION,
        imports="async_kernel.interface.ip_app, async_kernel.shell.ipshell",
        features=frozenset(Feature),
        concurrent="# task",
        boundless=("--Kernel.max_waiting=1000000",),
    )
    on_asyncio = replace(common, argv=(*common.argv, "--backend=asyncio"))
    on_trio = _trio(common, "for _ in range({count}): nursery.start_soon(trio.sleep_forever)")
    return [
        replace(on_trio, name=f"ours-trio{suffix}"),
        replace(on_asyncio, name=f"ours-asyncio{suffix}"),
        replace(on_asyncio, name=f"ours-uvloop{suffix}", recipe=with_uvloop),
    ]


_FLOOR = Kernel(
    name="floor",
    group="floor",
    recipe=Recipe("floor", ("pyzmq", "orjson")),
    argv=("{python}", str(FLOOR), "{file}"),
    distribution="pyzmq",
    imports="zmq, orjson",
    features=frozenset({Feature.comms, Feature.control, Feature.heartbeat}),
    set_up="",
)
_IPYKERNEL = Kernel(
    name="ipykernel",
    group="ipykernel",
    recipe=Recipe("ipykernel", ("ipykernel>=7",)),
    argv=("{python}", "-m", "ipykernel_launcher", "-f", "{file}"),
    distribution="ipykernel",
    imports="ipykernel.kernelapp",
    features=PYTHON_KERNEL | {Feature.subshells},
    interrupt_by_signal=True,
)
_ASYNC_KERNEL = Kernel(
    name="async-kernel",
    group="async-kernel",
    recipe=Recipe("async-kernel", ("async-kernel>=0.20.2", "trio")),
    argv=("{python}", "-m", "async_kernel", "start", "--connection_file={file}", "--name=async"),
    distribution="async-kernel",
    imports="async_kernel.interface, IPython.core.interactiveshell",
    features=PYTHON_KERNEL | {Feature.concurrency},
    concurrent="# task",
)
_XEUS_PYTHON = Kernel(
    name="xeus-python",
    group="xeus-python",
    recipe=Recipe("xeus-python", ("xeus-python",)),
    argv=("{python}", "-m", "xpython_launcher", "-f", "{file}"),
    distribution="xeus-python",
    imports="xpython_launcher, IPython.core.interactiveshell",
    interrupt_by_signal=True,
)
_AKERNEL = Kernel(
    name="akernel",
    group="akernel",
    recipe=Recipe("akernel", ("akernel[subprocess]",)),
    argv=("{bin}/akernel", "launch", "-f", "{file}"),
    distribution="akernel",
    imports="akernel.akernel",
    features=frozenset({Feature.executes, Feature.awaits, Feature.comms, Feature.background}),
    interrupt_by_signal=True,
    only_on_request=True,
)

KERNELS: tuple[Kernel, ...] = (
    _FLOOR,
    *ours_at("", ""),
    _IPYKERNEL,
    _ASYNC_KERNEL,
    replace(_trio(_ASYNC_KERNEL, ""), name="async-kernel-trio", features=_ASYNC_KERNEL.features - {Feature.background}),
    replace(
        _ASYNC_KERNEL,
        name="async-kernel-uvloop",
        recipe=Recipe("async-kernel-uvloop", ("async-kernel>=0.20.2", "uvloop")),
        only_on_request=True,
    ),
    _XEUS_PYTHON,
    _AKERNEL,
)
