"""The tests that Jupyter offers to every kernel, with all their hooks filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jupyter_kernel_test
import pytest

if TYPE_CHECKING:
    from tests.e2e.harness.subject import Home


@pytest.fixture(autouse=True, scope="module")
def _home(home: Home) -> None:
    """The kernelspecs are in a home of the tests' own."""
    if home.kernel != "async-trio":
        pytest.skip("these are this kernel's")


class PythonTests:
    """What is the same on both backends."""

    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples = (
        {"text": "zi", "matches": {"zip"}},
        {"text": "import tracema", "matches": {"tracemalloc"}},
        {"text": "nothing_begins_like_this", "matches": set()},
    )
    complete_code_samples = (
        "1",
        "print('hello, world')",
        "def f(x):\n  return x*2\n\n\n",
        "await f()",
        "%time 1",
        "!ls",
    )
    incomplete_code_samples = (
        "print('''hello",
        "def f(x):\n  x*2",
        "async with f():",
        "for i in range(3):",
        "%%bash",
    )
    invalid_code_samples = ("import = 7q", "x = = 1", "x = 3 +* 4")
    code_page_something = "zip?"
    code_generate_error = "raise ValueError('as asked')"
    code_execute_result = (
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
        {"code": "'%s' % 'text'", "result": "'text'"},
        {"code": "from IPython.display import HTML; HTML('<b>x</b>')", "mime": "text/html", "result": "<b>x</b>"},
    )
    code_display_data = (
        {"code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))", "mime": "text/html"},
        {"code": "from IPython.display import Math, display; display(Math('\\\\frac{1}{2}'))", "mime": "text/latex"},
        {"code": "import matplotlib.pyplot as plt; plt.plot([1, 2]);", "mime": "image/png"},
    )
    code_history_pattern = "1?2*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"


class TestTrio(PythonTests, jupyter_kernel_test.KernelTests):
    """On trio."""

    kernel_name = "subject-trio"


class TestAsyncio(PythonTests, jupyter_kernel_test.KernelTests):
    """On asyncio."""

    kernel_name = "subject-asyncio"


class TestWelcomeTrio(jupyter_kernel_test.IopubWelcomeTests):
    """iopub_welcome, on trio."""

    kernel_name = "subject-trio"
    support_iopub_welcome = True


class TestWelcomeAsyncio(jupyter_kernel_test.IopubWelcomeTests):
    """iopub_welcome, on asyncio."""

    kernel_name = "subject-asyncio"
    support_iopub_welcome = True
