"""Running code: from the text of a cell to what it displays or raises.

:class:`RunsCode` is IPython's ``run_cell`` family for a kernel. Code runs in the task that calls
``run_cell_async``; what belongs to one run is in :data:`~async_kernel.shell.running.runs.current_run`, so that runs may
overlap. The order is IPython's: transform the text, remember it, parse, transform the tree, compile, run. All
statements of a cell are compiled before the first one runs.

The running is inside the cell's boundary, its cancel scope. What leaves the user's code is translated by the cell
into the error that the user shall see and is shown at once; a cancellation then goes on to its scope: the cell's
own one is absorbed by the boundary, anybody else's passes through everything.

A displayed value is handed to the shell's own display hook: ``sys.displayhook`` and ``sys.excepthook`` stay what
they are.
"""

from __future__ import annotations

import bdb
import inspect
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

from async_kernel.shell.cells.cancellation import being_cancelled, first_cancellation, is_cancellation
from async_kernel.shell.cells.cell import current_cell
from async_kernel.shell.ipython import (
    CapturingDisplayHook,
    ExecutionInfo,
    ExecutionResult,
    ShellPart,
    configured_script_magics,
)
from async_kernel.shell.running.compiling import AWAITED_CALLS, await_magics, compile_nodes
from async_kernel.shell.running.memory import give_back, refill
from async_kernel.shell.running.namespace import acting
from async_kernel.shell.running.runs import Run, current_run, waited_for
from async_kernel.shell.showing.traceback import trim

if TYPE_CHECKING:
    import ast
    from types import CodeType

    from async_kernel.shell.running.transforming import PlainPython

__all__ = ["RunsCode"]

_NOT_THE_USERS = ("IPython.", f"{__name__.partition('.')[0]}.")
"""Where the magics are defined that say themselves when they return an awaitable."""


class RunsCode(ShellPart):
    """How a kernel's shell runs code."""

    execution_count: Any
    last_execution_succeeded: Any = True
    last_execution_result: Any = None
    "Traits in IPython; both are set for every cell, which validation and the telling of nobody made ten times dearer."

    _plain: PlainPython

    # -- a run -----------------------------------------------------------------------------------------------

    def begin_run(
        self,
        code: str,
        *,
        store_history: bool = False,
        silent: bool = False,
        shell_futures: bool = True,
        cell_id: str | None = None,
        cell_meta: dict[str, Any] | None = None,
    ) -> Run:
        """Give ``code`` its number, and take the number when it is to be stored."""
        result = ExecutionResult(ExecutionInfo(code, store_history, silent, shell_futures, cell_id, cell_meta))
        empty = not code or code.isspace()
        store = store_history and not silent and not empty
        number = self.execution_count
        if store:
            self.execution_count = number + 1
        elif (outer := current_run.get()) is not None:
            number = outer.number  # code that a cell runs displays under the cell's number
        if not empty:
            result.execution_count = number
        return Run(number=number, result=result, silent=silent, store=store, empty=empty)

    async def do_run(self, run: Run, *, transformed: str | None = None, problem: Any = None) -> None:
        """Do what :meth:`begin_run` prepared; the errors of the code are in ``run.result``."""
        info = run.result.info
        token = current_run.set(run)
        try:
            if not run.empty:
                compiler = self.compile if info.shell_futures else self.compiler_class()
                tree = None
                if transformed is None and problem is None:
                    transformed, tree, problem = self._read(info.raw_cell, compiler)
                run.source = info.transformed_cell = info.raw_cell if transformed is None else transformed
                self.events.trigger("pre_execute")
                if not run.silent:
                    self.events.trigger("pre_run_cell", info)
                if run.store:
                    self.history_manager.store_inputs(run.number, run.source, info.raw_cell)
                if not run.silent and self.logs_session:
                    self.logger.log(run.source, info.raw_cell)
                await self._run_source(run, compiler, tree, problem)
        finally:
            self.last_execution_succeeded, self.last_execution_result = run.result.success, run.result
            current_run.reset(token)

    async def _run_source(self, run: Run, compiler: Any, tree: ast.Module | None, problem: Any) -> None:
        name = compiler.cache(run.source, run.number, raw_code=run.result.info.raw_cell)
        tree = self._parse(run, compiler, name, tree, problem)
        if tree is not None:
            interactivity = "none" if run.silent else self.ast_node_interactivity
            await self.run_ast_nodes(tree.body, name, interactivity, compiler, run.result)
        if run.store:
            self.history_manager.store_output(run.number)
            if not run.result.success and run.error is not None:
                self.history_manager.exceptions[run.number] = run.error

    def end_run(self, run: Run) -> None:
        """Tell extensions that it is over (inline figures are shown now)."""
        token = current_run.set(run)
        try:
            self.events.trigger("post_execute")
            if not run.silent:
                self.events.trigger("post_run_cell", run.result)
        finally:
            current_run.reset(token)

    # -- IPython's names for it --------------------------------------------------------------------------------

    async def run_cell_async(
        self,
        raw_cell: str,
        store_history: bool = False,
        silent: bool = False,
        shell_futures: bool = True,
        *,
        transformed_cell: str | None = None,
        preprocessing_exc_tuple: Any = None,
        cell_id: str | None = None,
        cell_meta: dict[str, Any] | None = None,
    ) -> Any:
        """Run a cell in the running task; see :meth:`IPython.core.interactiveshell.InteractiveShell.run_cell_async`."""
        run = self.begin_run(
            raw_cell,
            store_history=store_history,
            silent=silent,
            shell_futures=shell_futures,
            cell_id=cell_id,
            cell_meta=cell_meta,
        )
        await self.do_run(run, transformed=transformed_cell, problem=preprocessing_exc_tuple)
        return run.result

    def run_cell(
        self,
        raw_cell: str,
        store_history: bool = False,
        silent: bool = False,
        shell_futures: bool = True,
        cell_id: str | None = None,
        cell_meta: dict[str, Any] | None = None,
    ) -> Any:
        """Run a cell that does not await, from synchronous code.

        The loop is already running, so a cell that awaits cannot be waited for here: it fails with a
        RuntimeError that says so, as the result's ``error_before_exec``.
        """
        run = self.begin_run(
            raw_cell,
            store_history=store_history,
            silent=silent,
            shell_futures=shell_futures,
            cell_id=cell_id,
            cell_meta=cell_meta,
        )
        run.may_await = False
        try:
            self.do_run(run).send(None)
        except StopIteration:
            pass
        finally:
            self.end_run(run)
        return run.result

    def safe_execfile(self, *args: Any, **kwargs: Any) -> None:
        """Run a Python file, as at startup; see IPython's method of this name."""
        token = acting.set(True)
        try:
            base: Any = super()
            base.safe_execfile(*args, **kwargs)
        finally:
            acting.reset(token)

    # -- before it runs ----------------------------------------------------------------------------------------

    def _read(self, code: str, compiler: Any) -> tuple[str | None, ast.Module | None, Any]:
        """The transformed code and its tree, if that is known already, or what was wrong with it."""
        try:
            found = self._plain.parse(code, compiler)
            return (*found, None) if found is not None else (self.transform_cell(code), None, None)
        except Exception:  # noqa: BLE001 -- transformers are anybody's; the error is shown as the cell's
            return None, None, sys.exc_info()

    def _parse(self, run: Run, compiler: Any, name: str, tree: ast.Module | None, problem: Any) -> ast.Module | None:
        """The tree of the code; None after an error, which is shown."""
        try:
            _raise(problem)
            if tree is None:
                tree = cast("ast.Module", compiler.ast_parse(run.source, filename=name))
                if self.autoawait and run.may_await and any(call in run.source for call in AWAITED_CALLS):
                    tree = await_magics(tree, self.is_async_magic)
            return cast("ast.Module", self.transform_ast(tree)) if self.ast_transformers else tree
        except self.custom_exceptions as exc:
            self._show_custom(exc)
            error: BaseException = exc
        except SyntaxError as exc:
            self.showindentationerror() if isinstance(exc, IndentationError) else self.showsyntaxerror()
            error = exc
        except Exception as exc:  # noqa: BLE001 -- transformers of the tree are anybody's; InputRejected among others
            self.showtraceback()
            error = exc
        run.result.error_before_exec = error
        return None

    # -- running -----------------------------------------------------------------------------------------------

    async def run_ast_nodes(
        self,
        nodelist: list[ast.stmt],
        cell_name: str,
        interactivity: str = "last_expr",
        compiler: Any = compile,
        result: Any = None,
    ) -> bool:
        """Run statements, showing the values that ``interactivity`` asks for; True if they failed."""
        try:
            code = compile_nodes(nodelist, cell_name, interactivity, compiler, awaits=self.autoawait)
            self._check_awaits(code)
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError, TypeError, RuntimeError) as exc:
            if result is not None:
                result.error_before_exec = exc
            self.showtraceback()
            return True
        cell = current_cell.get()
        with nullcontext() if cell is None else cell.boundary():
            return await self.run_code(code, result, async_=bool(code.co_flags & inspect.CO_COROUTINE))
        return True  # the boundary has absorbed the cancellation of a cell that was cut short

    def _check_awaits(self, code: CodeType) -> None:
        run = current_run.get()
        if run is None or run.may_await or not code.co_flags & inspect.CO_COROUTINE:
            return
        run.may_await = True
        msg = (
            "this code awaits, and run_cell() is synchronous: it cannot wait inside the loop that is running. "
            "Use `await get_ipython().run_cell_async(code)`."
        )
        raise RuntimeError(msg)

    async def run_code(self, code_obj: CodeType, result: Any = None, *, async_: bool = False) -> bool:
        """Run a code object in the user's namespace and show its error; True if it failed."""
        __tracebackhide__ = "__ipython_bottom__"  # what debuggers hide: this frame and those that lead here
        refill()
        try:
            value = eval(code_obj, self.user_global_ns, self.user_ns)  # noqa: S307 -- that is what a shell is for
            if async_:
                await value
            if (cell := current_cell.get()) is not None and cell.children is not None:
                await cell.children.join()
        except BaseException as exc:
            give_back(exc)
            cell = current_cell.get()
            if cell is not None:
                cell.gate.withdraw()  # what interrupted a wait of ours may be on its way as an exception, too
                if cell.children is not None:
                    await cell.children.abandon()
            error = None if async_ and isinstance(exc, GeneratorExit) else self._error_to_show(exc)
            if error is None:
                raise
            with nullcontext() if cell is None else cell.showing():
                error.__traceback__ = trim(error.__traceback__, machinery=error is not exc)
                self._show_failure(error, result)
            onward = first_cancellation(exc)
            if onward is not None and being_cancelled():
                raise onward from None  # it must reach the scope that it comes from
            return True
        return False

    runcode = run_code

    def show_value(self, value: object) -> None:
        """Show an expression's value; called in the code of cells, see :mod:`async_kernel.shell.running.compiling`."""
        __tracebackhide__ = __debuggerskip__ = True
        hook = sys.displayhook
        if isinstance(hook, CapturingDisplayHook) and getattr(hook, "shell", None) is self:
            hook(value)  # IPython.utils.capture puts it there
        else:
            self.displayhook(value)

    def run_line_magic_soon(self, magic_name: str, line: str) -> Any:
        """Call a magic in the code of a cell that waits for it, as above."""
        with nullcontext() if self._is_users_magic("line", magic_name) else waited_for():
            return self.run_line_magic(magic_name, line, _stack_depth=2)

    def run_cell_magic_soon(self, magic_name: str, line: str, cell: str) -> Any:
        """The same with a cell magic."""
        with nullcontext() if self._is_users_magic("cell", magic_name) else waited_for():
            return self.run_cell_magic(magic_name, line, cell)

    async def wait_for_magic(self, value: Any) -> Any:
        """What a magic has to say in the end: called in the code of cells, as above."""
        return await value if inspect.isawaitable(value) else value

    def is_async_magic(self, kind: str, name: str) -> bool:
        """Whether the magic of a kind (line, cell) and name may return an awaitable: users' own, those of programs."""
        if kind == "cell" and (name == "script" or name in configured_script_magics(self.config)):
            return True
        return self._is_users_magic(kind, name)

    def _is_users_magic(self, kind: str, name: str) -> bool:
        """Whether it is of neither IPython's nor the kernel's; then what it calls does not expect an awaitable."""
        magic: Any = self.magics_manager.magics[kind].get(name)
        return magic is not None and not str(getattr(magic, "__module__", None)).startswith(_NOT_THE_USERS)

    # -- when it fails -----------------------------------------------------------------------------------------

    def _error_to_show(self, exc: BaseException) -> BaseException | None:
        """What the user shall see for ``exc``; None if it is a cancellation of something around the cell."""
        if first_cancellation(exc) is not None and not being_cancelled():
            return exc
        cell = current_cell.get()
        if cell is not None:
            return cell.translate(exc)
        if isinstance(exc, BaseExceptionGroup):
            return cast("BaseExceptionGroup[BaseException]", exc).split(is_cancellation)[1]
        return None if is_cancellation(exc) else exc

    def _show_failure(self, exc: BaseException, result: Any) -> None:
        if result is not None:
            result.error_in_exec = exc
        info = (type(exc), exc, exc.__traceback__)
        if isinstance(exc, SystemExit):
            self.showtraceback(info, exception_only=True)
            print("To exit: use 'exit', 'quit', or Ctrl-D.", file=sys.stderr)
        elif isinstance(exc, bdb.BdbQuit):
            self.note_error(exc, [])  # the user has left the debugger and knows
        elif isinstance(exc, self.custom_exceptions):
            self._show_custom(exc)
        else:
            # The frames before the user's are no part of what is shown: none are left for an offset to take away.
            self.showtraceback(info, running_compiled_code=True, tb_offset=0)

    def _show_custom(self, exc: BaseException) -> None:
        lines: Any = self.CustomTB(type(exc), exc, exc.__traceback__)
        self.note_error(exc, lines or [])


def _raise(problem: Any) -> None:
    """Raise the exception of an exc_info, if there is one."""
    if problem is not None:
        raise problem[1]
