"""A kernel on another machine: a Jupyter server whose kernels live behind a Kernel Gateway, all on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ecosystem.harness.server import RemoteKernel, Server, started

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.e2e.harness.snippets import Snippets
    from tests.e2e.harness.subject import Home, Subject


@pytest.fixture(scope="module")
def gateway(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """The machine where kernels run."""
    folder = tmp_path_factory.mktemp("gateway")
    with started(
        "kernel_gateway", "--JupyterWebsocketPersonality.list_kernels=True", folder=folder, option="KernelGatewayApp"
    ) as server:
        yield server


@pytest.fixture(scope="module")
def server(gateway: Server, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """The machine where people are."""
    folder = tmp_path_factory.mktemp("server")
    options = [
        "--no-browser",
        "--allow-root",
        f"--gateway-url={gateway.url}",
        f"--GatewayClient.auth_token={gateway.token}",
    ]
    with started("jupyter_server", *options, folder=folder) as server:
        yield server


@pytest.fixture
def kernel(server: Server, subject: Subject) -> Generator[RemoteKernel]:
    with server.kernel(subject.name) as kernel:
        yield kernel


def test_cells_run_and_ask(kernel: RemoteKernel, snippets: Snippets) -> None:
    cell = kernel.run(f"print('hello', input('who? ')); await {snippets.sleep}")
    assert (cell.printed, cell.reply and cell.reply["status"]) == ("hello Ada\n", "ok")


def test_the_kernel_is_the_gateways(kernel: RemoteKernel, gateway: Server, server: Server) -> None:
    for each in (gateway, server):
        assert kernel.ident in [known["id"] for known in each.ask("GET", "/api/kernels")]


def test_much_output_arrives(kernel: RemoteKernel) -> None:
    cell = kernel.run("for n in range(20_000): print(n)")
    assert cell.printed == "".join(f"{n}\n" for n in range(20_000))


@pytest.mark.parametrize("how", ["awaits", "blocks"])
def test_it_is_interrupted(kernel: RemoteKernel, snippets: Snippets, how: str) -> None:
    waits = {"awaits": f"await {snippets.wait_forever}", "blocks": "__import__('time').sleep(3600)"}[how]
    cell = kernel.start(f"print('ready')\n{waits}")
    kernel.until(cell, lambda: cell.printed == "ready\n")
    kernel.interrupt()
    kernel.until(cell, lambda: cell.reply and cell.idle)
    assert cell.reply is not None
    assert (cell.reply["status"], cell.reply["ename"]) == ("error", "KeyboardInterrupt")
    assert kernel.run("print('next')").printed == "next\n"


def test_it_restarts(kernel: RemoteKernel) -> None:
    kernel.run("before = 1")
    kernel.restart()
    assert kernel.run("print('before' in globals())").printed == "False\n"
