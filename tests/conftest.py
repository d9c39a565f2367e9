"""Shared fixtures: kernels of either backend in homes of their own, and clients of them.

A kernel is shared by the tests of a module (``client``), or is a test's own (``own_kernel``, ``start``). Whatever a
test does, its process has ended when the fixture has. The log of every kernel that
a failing test used is in its report.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from tests.e2e.harness.client import Client
    from tests.e2e.harness.process import KernelProcess
    from tests.e2e.harness.snippets import Snippets
    from tests.e2e.harness.subject import Home, Subject

USED = pytest.StashKey[list[Any]]()
FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Hear SIGINT also when the shell that runs the tests in the background ignores it: programs inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kernel-under-test",
        default="async-trio",
        choices=["async-trio", "ipykernel"],
        help="the kernel that end-to-end tests start; ipykernel shows what a test expects of any kernel",
    )
    parser.addoption("--pictures", help="the folder where tests in a browser leave their screenshots")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test a second try in CI, whose machines are shared; the summary names each that took it."""
    if os.environ.get("CI"):
        for item in items:
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = report.failed or (report.when != "setup" and item.stash[FAILED])
    if report.failed:
        for kernel in item.stash.get(USED, []):
            report.sections.append((f"log of kernel {kernel.pid}", kernel.log))
    # What odd messages had logged may hold half of a surrogate pair, which cannot be sent from process to process.
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session", autouse=True)
def _ports_of_kernel_managers() -> Generator[None]:
    """Those of jupyter_client take their ports from the block of this process, as all tests do."""
    from jupyter_client.connect import LocalPortCache

    from tests.e2e.harness.ports import free_ports

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(LocalPortCache, "find_available_port", lambda _self, _ip: free_ports(1)[0])
        yield


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Generator[Home]:
    """An empty Jupyter and IPython home, with kernelspecs of the kernel under test; this process uses it too."""
    from tests.e2e.harness.subject import make_home

    home = make_home(tmp_path_factory.mktemp("home"), request.config.getoption("--kernel-under-test"))
    with home.applied():
        yield home


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def backend(request: pytest.FixtureRequest) -> str:
    """The async library that cells run on."""
    return request.param


@pytest.fixture(scope="module")
def subject(home: Home, backend: str) -> Subject:
    """The kernel under test, on the backend."""
    from tests.e2e.harness.subject import Subject

    subject = Subject(home, backend)
    if not subject.is_ours and backend != "asyncio":
        pytest.skip("the stand-in has one backend")
    return subject


@pytest.fixture
def ours(subject: Subject) -> None:
    """For tests of what other kernels do not have."""
    if not subject.is_ours:
        pytest.skip("not a behaviour of the stand-in")


@pytest.fixture
def snippets(backend: str) -> Snippets:
    """Code for cells."""
    from tests.e2e.harness.snippets import SNIPPETS

    return SNIPPETS[backend]


class _Shared:
    """The kernel of a module, started when it is first wanted, and again if a test has ended it."""

    def __init__(self, make: Callable[[], KernelProcess]) -> None:
        self._make = make
        self._kernel: KernelProcess | None = None

    def get(self) -> KernelProcess:
        if self._kernel is None or not self._kernel.alive:
            self.end()
            self._kernel = self._make()
        return self._kernel

    def end(self) -> None:
        if self._kernel is not None:
            self._kernel.end()
            self._kernel = None


@pytest.fixture(scope="module")
def _shared_kernel(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Generator[_Shared]:
    from tests.e2e.harness.process import start_kernel

    shared = _Shared(lambda: start_kernel(subject, folder=tmp_path_factory.mktemp("kernel")))
    yield shared
    shared.end()


@pytest.fixture
def kernel(_shared_kernel: _Shared, request: pytest.FixtureRequest) -> Generator[KernelProcess]:
    """A kernel that the tests of a module share; a test that fails leaves a new one to the next."""
    kernel = _shared_kernel.get()
    request.node.stash.setdefault(USED, []).append(kernel)
    yield kernel
    if request.node.stash[FAILED]:  # its kernel may be stuck; the session counts it only after a second try
        _shared_kernel.end()


@pytest.fixture
def client(kernel: KernelProcess) -> Generator[Client]:
    """A client of the shared kernel."""
    client = kernel.client()
    yield client
    client.close()


@pytest.fixture
def start(subject: Subject, tmp_path: Path, request: pytest.FixtureRequest) -> Generator[Callable[..., KernelProcess]]:
    """Starts kernels for one test: ``start(*options, env=..., writes_file=...)``."""
    from tests.e2e.harness.process import start_kernel

    with ExitStack() as stack:

        def start(*options: str, **kwargs: Any) -> KernelProcess:
            kernel = stack.enter_context(start_kernel(subject, *options, folder=tmp_path, **kwargs))
            request.node.stash.setdefault(USED, []).append(kernel)
            return kernel

        yield start


@pytest.fixture
def own_kernel(start: Callable[..., KernelProcess]) -> KernelProcess:
    """A kernel for one test."""
    return start()
