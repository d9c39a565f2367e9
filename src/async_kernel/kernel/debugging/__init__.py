"""The debugger: debugpy, spoken to over the control channel by the messages of Jupyter.

:mod:`available` says whether there can be one, :mod:`debugger` takes the requests, :mod:`commands` says how each is
answered, :mod:`connection` speaks the Debug Adapter Protocol with debugpy, :mod:`variables` shows variables while
nothing is stopped, and :mod:`inside` is what runs in a stopped frame.
"""

from __future__ import annotations
