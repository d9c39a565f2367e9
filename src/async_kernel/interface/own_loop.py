"""Running an interface in a process of its own, a mixin of the base of all interfaces.

Options of the loop and of its GUI host are checked first, before anything has been opened or written, so that a wrong
one is a line on stderr. Then the loop runs :meth:`OwnLoop.run` until the interface stops.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import anyio

from async_kernel.interface.config_files import ConfigFileError
from async_kernel.interface.one_of_process import OneOfProcess
from async_kernel.interface.options import refuse
from async_kernel.slot import slot

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence

    from async_kernel.typing import RunSettings

__all__ = ["OwnLoop", "StoppedEarlyError"]


class StoppedEarlyError(RuntimeError):
    """The interface was stopped before it had started, or had been used already."""

    def __init__(self) -> None:
        super().__init__("Stopped early")


class OwnLoop(OneOfProcess):
    """An interface that can run a loop for itself."""

    _launched = False
    """Whether the process is the kernel's own."""

    _runner: Callable[..., None] | None = None

    if TYPE_CHECKING:
        log: logging.Logger
        show_config: Any
        show_config_json: Any

        def exit(self, exit_status: int | str | None = 0) -> None: ...  # noqa: D102 -- Application's
        async def __aenter__(self) -> Any: ...
        async def __aexit__(self, *exc_info: object) -> bool | None: ...

    @classmethod
    def launch_instance(
        cls, argv: Sequence[str] | None = None, kernel_class: Any = None, shell_class: Any = None, **kwargs: Any
    ) -> None:
        """Make an interface, run it until it stops, and exit; blocking.

        Args:
            argv: the command line; None: that of the process.
            kernel_class: what serves requests.
            shell_class: what runs code.
            **kwargs: further arguments of the class.

        Raises:
            RuntimeError: if the process has an interface already.
            SystemExit: always, in the end.
        """
        if cls.initialized():
            msg = "An interface already exists in this process."
            raise RuntimeError(msg)
        app = None
        try:
            try:
                app = cls(argv, kernel_class=kernel_class, shell_class=shell_class, **kwargs)
            except ConfigFileError as exc:
                refuse(str(exc))
            app._check_loop()
            app.start()
            app.exit()
        finally:
            if app is not None:
                slot.release(app)
            app = None
            gc.collect()

    def start(self) -> None:
        """Run until stopped; blocking. Outside the main thread, blocking user code cannot be interrupted in C calls.

        Raises:
            RuntimeError: if this is not the process's interface.
        """
        if slot.get() is not self:
            msg = "This is not the global instance: it was stopped, or another interface was made."
            raise RuntimeError(msg)
        self._launched = True
        try:
            runner, self._runner = self._runner or self.prepare_loop(), None
            runner(self.run, ())
        except StoppedEarlyError:
            self.log.info("stopped before it had started")
        finally:
            self._release()

    def prepare_loop(self) -> Callable[..., None]:
        """Check the options of the backend and of the host, and make the host; :meth:`start` then runs it.

        Raises:
            ImportError: if the backend or the host's toolkit is not installed.
            RuntimeError: if the toolkit cannot run in this thread or without a display.
            TypeError: if there is no such option.
            ValueError: if there is no such host.
        """
        from async_kernel.event_loop.run import prepare  # noqa: PLC0415 -- embedding does without

        self._runner = prepare(self._run_settings())
        return self._runner

    async def run(self, *, stopped: Callable[[], object] | None = None) -> None:
        """Open the interface and stay until it is stopped; then call ``stopped``, also after a failure."""
        try:
            async with self:
                await anyio.sleep_forever()
        finally:
            if stopped is not None:
                stopped()

    def _check_loop(self) -> None:
        """Refuse wrong options in one line."""
        from async_kernel.event_loop.run import check  # noqa: PLC0415 -- as above

        try:
            if self.show_config or self.show_config_json:
                check(self._run_settings())  # whoever only looks needs no display
            else:
                self.prepare_loop()
        except (ImportError, RuntimeError, TypeError, ValueError) as exc:
            refuse(str(exc))

    # -- what the interface says -------------------------------------------------------------------------------

    def _run_settings(self) -> RunSettings:
        """How the loop is to be run."""
        raise NotImplementedError

    def _release(self, failure: BaseException | None = None) -> None:
        """It has ended, or never began."""
        raise NotImplementedError
