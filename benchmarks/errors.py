"""What can go wrong in a run: told apart by type, said in one sentence each."""

from __future__ import annotations

__all__ = ["BenchError", "InstallationError", "KernelError", "NoAnswerError", "WrongAnswerError"]


class BenchError(Exception):
    """The run cannot go on; the message says what the user can do about it."""


class InstallationError(BenchError):
    """A kernel's environment could not be made: it is left out, and the results say so."""


class KernelError(Exception):
    """A kernel did not do what a measure asks for; the reading is missing and the reason is kept."""


class NoAnswerError(KernelError):
    """Nothing came within the time that the measure allows."""


class WrongAnswerError(KernelError):
    """Something came that shows that the kernel did not do the work: its time would mean nothing."""
