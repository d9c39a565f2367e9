"""What user code reads and writes: ``print``, ``sys.stderr``, ``input``, and the threads that it starts.

:func:`user_io` replaces these names for the process while a kernel lives and puts the very same objects back. The
replacements look at the context: what a cell writes goes to that cell's client. Embedded in a program
(``embedded=True``), all that is not written in the context of a cell goes where it always went.
"""

from __future__ import annotations

from async_kernel.shell.user_io.install import user_io
from async_kernel.shell.user_io.reading import ainput, ask
from async_kernel.shell.user_io.streams import CellStream

__all__ = ["CellStream", "ainput", "ask", "user_io"]
