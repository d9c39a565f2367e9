"""IPShell: IPython as the shell of a kernel.

A real :class:`IPython.core.interactiveshell.InteractiveShell`: magics, extensions, history, profiles, completion.
What differs is around it. Constructing one changes nothing in the process; :meth:`IPShell.start` takes the names
that IPython has one of in a process and :meth:`IPShell.close` gives them back. Cells run in the task that executes
them (``running``), what they display and raise goes to their own client (``display``, ``errors``), and nothing of a
cell is kept on the shell, so that cells may overlap.

The shell's thread runs cells. Questions about code (``introspection``) are asked from a helper thread; the
history's writer has a third one.
"""

from __future__ import annotations

import atexit
import importlib
import shutil
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.profiledir import ProfileDir, ProfileDirError
from IPython.core.usage import default_banner
from traitlets import Bool, Instance, Integer, Type, Unicode, default

from async_kernel.lifetime.loop_token import current_loop_token
from async_kernel.protocol.request import current_request, for_nobody
from async_kernel.shell import introspection, magics
from async_kernel.shell.base import BaseShell
from async_kernel.shell.commands.mixin import RunsCommands
from async_kernel.shell.debugging import cell_pdb, debuggers_of_cells
from async_kernel.shell.history import CellHistory
from async_kernel.shell.ipython import InteractiveShell, ZMQExitAutocall, display
from async_kernel.shell.magics.gui import check_backend, enable_gui, inline_figures
from async_kernel.shell.recognition import recognisable, recognisable_module, with_section
from async_kernel.shell.running.compiling import CellCompiler
from async_kernel.shell.running.namespace import LivingBuiltinTrap, NullDisplayTrap, installed
from async_kernel.shell.running.run_cell import RunsCode
from async_kernel.shell.running.transforming import PlainPython, without_mode_line
from async_kernel.shell.showing import payloads
from async_kernel.shell.showing.display import CellDisplayHook, CellDisplayPublisher, Outlet
from async_kernel.shell.showing.errors import ShowsErrors
from async_kernel.shell.showing.figures import figures_of_cells, watch_figures
from async_kernel.shell.showing.json_ready import json_ready, mime_ready
from async_kernel.slot import T_interface_co

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from anyio.abc import TaskStatus

    from async_kernel.protocol.wire import Wire
    from async_kernel.shell.cells.cell import Cell
    from async_kernel.typing import Content

__all__ = ["IPShell"]


class IPShell(
    BaseShell[T_interface_co], introspection.HasCompleter, RunsCommands, ShowsErrors, RunsCode, InteractiveShell
):
    """Runs Python with IPython.

    Args:
        wire: where output goes.
        user_ns: the namespace of the cells; None makes one.
        launched: the process is the kernel's own: the user's module is its ``__main__``.
        profile_dir: the profile; None uses the default one, or a temporary one where there is no place for it.
    """

    execution_count: Any = Integer(1)
    "The number of the next cell that is stored."
    banner1: Unicode[str, str | bytes] = Unicode(default_banner).tag(config=True)
    "The part of the banner before the profile."
    autoindent: Bool[bool, bool | int] = Bool(False).tag(config=True)
    "Of no use here: the client indents."
    displayhook_class: Type[type[CellDisplayHook], type[CellDisplayHook]] = Type(CellDisplayHook)
    display_pub_class: Type[type[CellDisplayPublisher], type[CellDisplayPublisher]] = Type(CellDisplayPublisher)
    compiler_class: Type[type[CellCompiler], type[CellCompiler]] = Type(CellCompiler)
    exiter: Instance[Any] = Instance(ZMQExitAutocall)
    keepkernel_on_exit: bool = False

    format_error: Callable[..., Content] = ShowsErrors.format_error

    ipython_dir: Any
    profile_dir: Any
    builtin_trap: Any
    display_trap: Any
    displayhook: CellDisplayHook
    display_pub: CellDisplayPublisher
    history_manager: CellHistory
    payload_manager: payloads.CellPayloads

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: D102 -- see the module of recognisable
        return super().__new__(recognisable(cls), *args, **kwargs)

    def __init__(
        self,
        *,
        wire: Wire,
        user_ns: dict[str, Any] | None = None,
        launched: bool = True,
        profile_dir: ProfileDir | None = None,
        ipython_dir: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.launched = launched
        self._errors = Outlet(self, "error")
        self._given = dict(user_ns) if user_ns is not None else None
        self._offered: dict[str, Any] = {}
        self._installed = ExitStack()
        super().__init__(wire=wire, user_ns=user_ns, profile_dir=profile_dir, ipython_dir=ipython_dir or None, **kwargs)
        self.input_transformer_manager.cleanup_transforms.insert(0, without_mode_line)
        self._plain = PlainPython(self)
        with_section(self.config)
        atexit.unregister(self.atexit_operations)  # close() is called by the kernel, at its end

    # -- life ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take IPython's names in the process, until :meth:`close`."""
        self._installed.enter_context(installed(self, launched=self.launched, main=self.user_module))
        if self.launched:
            self._installed.enter_context(recognisable_module())
        self._installed.enter_context(figures_of_cells())
        self._installed.enter_context(inline_figures(self))
        self._installed.enter_context(debuggers_of_cells(self))
        self.at_close(introspection.take_back_filter)

    def close(self) -> None:
        """Write the history out, remove temporary files, and give back all names."""
        with self._installed:
            self.history_manager.close()
            self._remove_temporary_files()
            if self._given is not None:
                self._leave_namespace(self._given)

    def offer(self, **names: Any) -> None:
        """Put ``names`` into the namespace, hidden from %who, unless the user has such a name."""
        self._offered |= names
        for name, value in names.items():
            if self.user_ns.setdefault(name, value) is value:
                self.user_ns_hidden[name] = value

    def at_close(self, fn: Callable[[], object]) -> None:
        """Have ``fn`` called when the shell closes; the last one first."""
        self._installed.callback(fn)

    async def run_history(self, *, task_status: TaskStatus[None]) -> None:
        """The task that writes the history; see :meth:`async_kernel.shell.history.CellHistory.run`."""
        await self.history_manager.run(task_status=task_status)

    def _remove_temporary_files(self) -> None:
        for directory in self.tempdirs:
            shutil.rmtree(directory, ignore_errors=True)
        self.tempfiles.clear()
        self.tempdirs.clear()

    def _leave_namespace(self, before: Mapping[str, Any]) -> None:
        """Take the names that IPython put into an embedder's namespace out of it."""
        namespace = self.user_ns
        for name, value in self.user_ns_hidden.items():
            if namespace.get(name) is value:
                if name in before:
                    namespace[name] = before[name]
                else:
                    del namespace[name]
        for name in ("_", "__", "___", "__builtin__"):
            if name not in before:
                namespace.pop(name, None)

    # -- how IPython sets itself up ----------------------------------------------------------------------------

    def init_ipython_dir(self, ipython_dir: str | None) -> None:
        """Use the given folder, or the user's; a temporary one if that cannot be had."""
        try:
            base: Any = super()
            base.init_ipython_dir(ipython_dir)
        except OSError as exc:
            self.ipython_dir = self._make_temporary(exc)

    def init_profile_dir(self, profile_dir: ProfileDir | None) -> None:
        """Use the given profile, or the default one; a temporary one if that cannot be had."""
        try:
            base: Any = super()
            base.init_profile_dir(profile_dir)
        except (OSError, ProfileDirError) as exc:
            self.profile_dir = self._profile_in(self._make_temporary(exc))

    @staticmethod
    def _profile_in(folder: str) -> ProfileDir:
        create: Callable[[str], ProfileDir] = ProfileDir.create_profile_dir  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- untyped
        return create(folder)

    def _make_temporary(self, exc: Exception) -> str:
        folder = tempfile.mkdtemp(prefix="async_kernel_profile_")
        self.at_close(lambda: shutil.rmtree(folder, ignore_errors=True))
        self.log.warning("There is no place for an IPython profile (%s); this one is temporary.", exc)
        return folder

    def init_virtualenv(self) -> None:
        """As IPython; a program that embeds a kernel keeps its ``sys.path``."""
        if self.launched:
            base: Any = super()
            base.init_virtualenv()

    def init_sys_modules(self) -> None:
        """Nothing yet: see :meth:`start`."""

    def save_sys_module_state(self) -> None:
        """Nothing: the shell replaces nothing in ``sys``."""

    def init_prompts(self) -> None:
        """None: prompts are the client's."""

    def init_builtins(self) -> None:
        """Nothing yet: see :meth:`start`."""
        self.builtin_trap = LivingBuiltinTrap(shell=self)

    def init_events(self) -> None:
        """Set up what extensions are told; figures are taken over as soon as the inline backend wants to know."""
        base: Any = super()
        base.init_events()
        register = self.events.register

        def register_and_watch(event: str, function: Callable[..., object]) -> None:
            register(event, function)
            if getattr(function, "__module__", None) == "matplotlib_inline.backend_inline":
                watch_figures()

        self.events.register = register_and_watch

    def init_history(self) -> None:
        """Set up the history, whose writer the kernel runs."""
        self.history_manager = CellHistory(shell=self, parent=self)
        self.configurables.append(self.history_manager)

    def init_displayhook(self) -> None:
        """Set up what shows results; ``sys.displayhook`` is left alone."""
        base: Any = super()
        base.init_displayhook()
        self.display_trap = NullDisplayTrap(hook=self.displayhook)

    def init_magics(self) -> None:
        """Set up IPython's magics and a kernel's."""
        base: Any = super()
        base.init_magics()
        magics.register(self)

    def init_payload(self) -> None:
        """Set up what replies ask clients to do."""
        self.payload_manager = payloads.CellPayloads(parent=self)
        self.configurables.append(self.payload_manager)

    def init_hooks(self) -> None:
        """Set up IPython's hooks; the pager is the client's."""
        base: Any = super()
        base.init_hooks()

        def show_in_pager(_: Any, data: Any, start: int = 0, screen_lines: int = 0) -> None:
            self.payload_manager.write_payload(payloads.page(data, start))

        self.set_hook("show_in_pager", show_in_pager, 99)

    def init_user_ns(self) -> None:
        """Fill the namespace, also after %reset."""
        base: Any = super()
        base.init_user_ns()
        self.offer(**self._offered)  # again, after %reset
        if not self.launched:
            # builtins are left alone here
            self.user_ns["display"] = self.user_ns_hidden["display"] = display
            if self.user_ns.get("open") is self.user_ns_hidden.pop("open", None):
                del self.user_ns["open"]  # the namespace may be that of the program's own module

    @default("exiter")
    def _default_exiter(self) -> Any:
        return ZMQExitAutocall(self)

    @property
    def debugger_cls(self) -> type[Any]:
        """What %debug, %pdb and breakpoint() start."""
        return cell_pdb()

    @property
    def kernel(self) -> Any:
        """The kernel, for libraries that look for it here."""
        return getattr(self.parent, "kernel", None)

    @property
    def backend(self) -> str:
        """The async library that cells run in."""
        return str(getattr(self.parent, "backend", "") or current_loop_token().backend)

    @property
    def banner(self) -> str:
        """What a console prints first."""
        ipython: Any = InteractiveShell
        return ipython.banner.__get__(self)

    # -- cells -----------------------------------------------------------------------------------------------

    async def execute(self, cell: Cell) -> Content:
        """Run the code of an execute_request; the content of its reply."""
        if self._replaces_do_execute:
            return {"user_expressions": {}, "payload": [], **await self._do_execute(cell)}
        return await self._execute(cell, cell.request.content)

    async def _execute(self, cell: Cell, content: Content) -> Content:
        silent = bool(content.get("silent", False))
        run = self.begin_run(
            content["code"],
            store_history=bool(content.get("store_history", not silent)),
            silent=silent,
            cell_id=cell.request.metadata.get("cellId"),
            cell_meta=cell.request.metadata,
        )
        if not silent:
            number: Content = {"code": content["code"], "execution_count": run.number}
            self.wire.publish("execute_input", number, parent=cell.request.header)
        await self.do_run(run)
        self.end_run(run)
        reply: Content = {"status": "ok", "execution_count": run.number if run.store else self.last_count}
        error = run.result.error_before_exec or run.result.error_in_exec
        if error is not None:
            reply |= {"status": "error", **(run.error or self.format_error(error))}
        reply["user_expressions"] = self._evaluate(content.get("user_expressions"))
        reply["payload"] = json_ready(run.payloads) if run.payloads else []
        return reply

    def _evaluate(self, expressions: Any) -> Content:
        """The values of user_expressions as MIME bundles, or the errors that they raise."""
        if not expressions or not isinstance(expressions, dict):
            return {}
        values: Content = self.user_expressions(expressions)
        for value in values.values():
            if "data" in value:
                value["data"] = mime_ready(value["data"])
        return json_ready(values)

    @property
    def logs_session(self) -> bool:
        """Whether %logstart has ever been used."""
        return self._logger is not None

    def fallback_parent(self) -> Mapping[str, Any] | None:
        """The parent of what is displayed outside every cell."""
        kernel = self.kernel
        if for_nobody.get() or kernel is None or not self.launched:
            return None
        return kernel.last_parent()

    def ask_exit(self) -> None:
        """Ask the client to leave; the kernel stops after this cell, unless it is to be kept."""
        if current_request.get() is None:
            sys.exit()
        # Who leaves a program's kernel detaches: the program is not theirs to end.
        keep, self.keepkernel_on_exit = bool(self.keepkernel_on_exit) or not self.launched, False
        self.payload_manager.write_payload(payloads.ask_exit(keep_kernel=keep))
        self.exit_now = not keep

    def set_next_input(self, s: str, replace: bool = False) -> None:
        """Have the client put ``s`` into the next cell, or into this one."""
        self.payload_manager.write_payload(payloads.set_next_input(s, replace=replace))

    def enable_gui(self, gui: str | None = None) -> None:
        """See %gui.

        Raises:
            UsageError: if the kernel's host does not run that toolkit's main loop.
        """
        enable_gui(self, gui)

    def enable_matplotlib(self, gui: str | None = None) -> Any:
        """See %matplotlib.

        Raises:
            UsageError: as :meth:`enable_gui`.
        """
        base: Any = super()
        try:
            return base.enable_matplotlib(check_backend(gui))
        finally:
            watch_figures()

    # -- questions about code ----------------------------------------------------------------------------------

    def do_complete(self, code: str, cursor_pos: int) -> Content:
        """The content of a complete_reply."""
        return introspection.complete(self, code, cursor_pos)

    def warm_up(self) -> Sequence[Callable[[], object]]:
        """Import the completer's library, then have it read what it knows of Python: half a second each, or more."""
        if not self.Completer.use_jedi:
            return ()
        return partial(importlib.import_module, "jedi"), partial(self.do_complete, "str.", len("str."))

    def do_inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, omit_sections: tuple[str, ...] = ()
    ) -> Content:
        """The content of an inspect_reply."""
        return introspection.inspect(self, code, cursor_pos, detail_level, omit_sections)

    def is_complete(self, code: str) -> Content:
        """The content of an is_complete_reply."""
        return introspection.is_complete(self, code)

    def do_history(self, **content: Any) -> Content:
        """The content of a history_reply for the fields of a history_request."""
        return introspection.history(self, **content)
