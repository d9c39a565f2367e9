"""What a probe is given: one kernel, ready to be worked with.

The stage starts the kernel when a probe first asks for its session and keeps it warm for the probes that
follow. A kernel that failed is thrown away, so that its failure is not the next probe's as well.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmarks.session import open_session, spawn

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from benchmarks.client import Client
    from benchmarks.environments import Environment
    from benchmarks.kernels import Kernel
    from benchmarks.model import Effort, Form
    from benchmarks.session import Session

__all__ = ["Stage"]


@dataclass
class Stage:
    """One kernel during a run; an open session is ended by :meth:`discard`.

    Attributes:
        folder: the kernel's working folder, with its IPython profile and its history.
        memory: what a probe keeps from one call to the next; emptied with the session.
    """

    kernel: Kernel
    environment: Environment
    form: Form
    folder: Path
    memory: dict[str, Any] = field(default_factory=dict[str, Any])
    _session: Session | None = None
    _closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def session(self) -> Session:
        """The warm session, started if there is none."""
        if self._session is None:
            self._session = self._closing.enter_context(self.open())
        return self._session

    @property
    def session_if_any(self) -> Session | None:
        """The warm session, or None; nothing is started."""
        return self._session

    @property
    def client(self) -> Client:
        return self.session.client

    def open(self, *options: str) -> AbstractContextManager[Session]:
        """A session of the probe's own, beside the warm one, with further options on its command line."""
        kernel = replace(self.kernel, argv=(*self.kernel.argv, *options))
        return open_session(kernel, self.environment, self.folder)

    def spawn(self) -> AbstractContextManager[Session]:
        """A process that was just started, for probes that look at the start itself."""
        return spawn(self.kernel, self.environment, self.folder)

    def effort(self, effort: Effort) -> int:
        """The number that belongs to this run's form."""
        return effort.of(self.form)

    def once(self, name: str, code: str) -> None:
        """Run a preparing cell, the first time in this session only."""
        client = self.client
        if name not in self.memory:
            client.run(code)
            self.memory[name] = True

    def discard(self) -> None:
        """End the warm session, if there is one."""
        self._session = None
        self.memory.clear()
        self._closing.close()
