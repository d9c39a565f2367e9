"""Kernels that jupyter_client's provisioners start: one of our own, as for other machines, and the local one."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from async_kernel.kernelspec import write_kernel_spec
from tests.e2e.harness.provisioners import ElsewhereProvisioner

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from tests.e2e.harness.subject import Home, Subject

pytestmark = pytest.mark.usefixtures("ours")


@pytest.fixture
def start_manager(subject: Subject) -> Generator[Callable[..., KernelManager]]:
    """``start_manager(name, **traits)`` starts a kernel by a manager."""
    managers: list[KernelManager] = []

    def start(name: str = subject.name, **traits: Any) -> KernelManager:
        manager = KernelManager(kernel_name=name, **traits)
        managers.append(manager)
        manager.start_kernel(env={**os.environ, **subject.home.environment}, stderr=subprocess.DEVNULL)
        return manager

    yield start
    for manager in managers:
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)


def ready_client(manager: KernelManager) -> Any:
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=30)
    return client


def printed(client: Any, code: str) -> str:
    """Run a cell; what it printed."""
    texts: list[str] = []
    reply = client.execute_interactive(
        code, timeout=30, output_hook=lambda msg: texts.append(msg["content"].get("text", ""))
    )
    assert reply["content"]["status"] == "ok"
    return "".join(texts)


def interrupted(manager: KernelManager, client: Any) -> str:
    """Start a cell that sleeps and interrupt it by the manager; the name of its error."""

    def interrupt(msg: dict[str, Any]) -> None:
        if msg["msg_type"] == "stream":
            manager.interrupt_kernel()

    reply = client.execute_interactive(
        "import time; print('ready'); time.sleep(3600)", timeout=30, output_hook=interrupt
    )
    return reply["content"]["ename"]


@pytest.fixture
def elsewhere(home: Home, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a kernelspec whose kernels a custom provisioner starts."""
    entry = EntryPoint("elsewhere", f"{ElsewhereProvisioner.__module__}:ElsewhereProvisioner", "provisioners")
    monkeypatch.setitem(KernelProvisionerFactory.instance().provisioners, "elsewhere", entry)
    name = f"elsewhere-{subject.backend}"
    write_kernel_spec(
        folder=str(home.root / "data" / "kernels"),
        name=name,
        backend=subject.backend,
        metadata={"kernel_provisioner": {"provisioner_name": "elsewhere"}},
    )
    return name


def test_a_custom_provisioner(start_manager: Callable[..., KernelManager], elsewhere: str) -> None:
    manager = start_manager(elsewhere)
    client = ready_client(manager)
    assert printed(client, "import os; print(os.getcwd() == os.environ['JPY_MACHINE'])") == "True\n"
    assert interrupted(manager, client) == "KeyboardInterrupt"
    client.stop_channels()
    manager.restart_kernel()
    client = ready_client(manager)
    assert printed(client, "print('os' in globals())") == "False\n"
    client.stop_channels()
    manager.shutdown_kernel()


def test_ports_that_the_provisioner_keeps(start_manager: Callable[..., KernelManager]) -> None:
    manager = start_manager(cache_ports=True)
    client = ready_client(manager)
    before = manager.get_connection_info()
    manager.restart_kernel()
    client.wait_for_ready(timeout=30)  # the same client, whose sockets have connected again
    assert printed(client, "print('again')") == "again\n"
    assert manager.get_connection_info() == before
    client.stop_channels()
    manager.shutdown_kernel()
