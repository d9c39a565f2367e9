"""The documented names are there, and importing the package costs nothing that is not used."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest

import async_kernel

NAMES = {
    "async_kernel": [
        "Caller",
        "Interface",
        "Kernel",
        "Pending",
        "__version__",
        "distribution_name",
        "kernel_protocol_version",
        "kernel_protocol_version_info",
        "utils",
    ],
    "async_kernel.interface": [
        "BaseInterface",
        "HasInterface",
        "Interface",
        "launch_interface",
        "start_kernel_callable_interface",
    ],
    "async_kernel.interface.base": ["BaseInterface", "DictValueLiteralEval", "HasInterface", "extract_header"],
    "async_kernel.interface.callable": ["CallableInterface", "Handlers"],
    "async_kernel.interface.ip_app": ["IPApp"],
    "async_kernel.interface.zmq": ["AsyncSession", "ZMQInterface"],
    "async_kernel.kernel": ["Kernel"],
    "async_kernel.shell": ["BaseShell", "IPShell"],
    "async_kernel.shell.ipshell": ["IPShell"],
    "async_kernel.lifetime.caller": ["Caller"],
    "async_kernel.lifetime.pending": ["Pending", "PendingCancelled", "PendingNotDone"],
    "async_kernel.event_loop.run": ["run"],
    "async_kernel.event_loop.host": ["Host"],
    "async_kernel.event_loop.tk_host": ["TkHost"],
    "async_kernel.event_loop.qt_host": ["QtHost"],
    "async_kernel.common": ["Fixed", "KernelInterrupt", "MethodNotSupported", "import_item"],
    "async_kernel.typing": [
        "Backend",
        "CallerCreateOptions",
        "Channel",
        "Content",
        "DebugMessage",
        "ExecuteContent",
        "HandlerType",
        "Hosts",
        "Job",
        "Message",
        "MsgType",
        "NoValue",
        "RunMode",
        "RunSettings",
        "Tags",
    ],
    "async_kernel.utils": [
        "get_cell_id",
        "get_ipython",
        "get_job",
        "get_kernel",
        "get_metadata",
        "get_parent_message",
        "get_subshell_id",
        "get_tag_value",
        "get_tags",
        "redirect_stderr",
        "redirect_stdout",
        "subshell_context",
    ],
    "async_kernel.kernelspec": [
        "DEFAULT_COMMAND",
        "DEFAULT_LAUNCHER",
        "PROTOCOL_VERSION",
        "get_kernel_dir",
        "import_launcher",
        "make_argv",
        "remove_kernelspec",
        "write_kernel_spec",
    ],
    "async_kernel.command": ["command_line"],
}


@pytest.mark.parametrize("module", NAMES)
def test_documented_names_are_there(module: str) -> None:
    there = import_module(module)
    assert [name for name in NAMES[module] if not hasattr(there, name)] == []


def test_all_says_what_there_is() -> None:
    assert sorted(async_kernel.__all__) == sorted(NAMES["async_kernel"])
    assert set(async_kernel.__all__) <= set(dir(async_kernel))


def test_the_interface_for_everyday_use_is_ipapp() -> None:
    from async_kernel.interface.ip_app import IPApp

    assert async_kernel.Interface is IPApp is import_module("async_kernel.interface").Interface


def test_the_protocol_is_said_once() -> None:
    from async_kernel.kernelspec import PROTOCOL_VERSION

    assert async_kernel.kernel_protocol_version == PROTOCOL_VERSION == "5.5"


def test_the_language_is_described() -> None:
    assert sorted(async_kernel.kernel_protocol_version_info) == [
        "codemirror_mode",
        "file_extension",
        "mimetype",
        "name",
        "nbconvert_exporter",
        "pygments_lexer",
        "version",
    ]


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'async_kernel' has no attribute 'Kernels'"):
        async_kernel.Kernels  # noqa: B018


HEAVY = ["IPython", "PySide6", "anyio", "asyncio", "jupyter_client", "tkinter", "traitlets", "trio", "zmq"]


def imported_by(code: str) -> list[str]:
    """Which heavy packages a new interpreter has after running ``code``."""
    code = f"import json, sys\n{code}\nprint(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert imported_by("import async_kernel") == []


def test_a_caller_needs_no_kernel() -> None:
    heavy = imported_by("from async_kernel import Caller, Pending")
    assert set(heavy) <= {"anyio", "asyncio"}


def test_the_interface_without_sockets_imports_neither_zmq_nor_trio() -> None:
    heavy = imported_by("import async_kernel.interface.callable")
    assert {"zmq", "trio", "jupyter_client"} & set(heavy) == set()


def test_hosts_import_no_toolkit() -> None:
    code = "import async_kernel.event_loop.tk_host, async_kernel.event_loop.qt_host"
    assert {"PySide6", "tkinter", "zmq"} & set(imported_by(code)) == set()
