"""The catalogue of experiments: one file each, and one row here."""

from __future__ import annotations

from importlib import import_module

from millrace.lab.experiment import Experiment

__all__ = ["NAMES", "find"]

# Name on the command line, module with a function ``experiment``.
_MODULES = {
    "who-accepts": "who_accepts",
    "accept-queue": "accept_queue",
    "nagle": "nagle",
    "slow-reader": "slow_reader",
    "threads-vs-processes": "threads_vs_processes",
}
NAMES = tuple(_MODULES)


def find(name: str) -> Experiment:
    """Return an experiment of the catalogue.

    Raises
    ------
    ValueError
        There is none of this name; the message lists those there are.

    Examples
    --------
    >>> find("who-accepts").question
    'Which worker gets a new connection, and how many are woken for it?'
    """
    if name not in _MODULES:
        raise ValueError(f"{name!r} is no experiment: use one of {', '.join(NAMES)}")
    experiment: Experiment = import_module(f"{__name__}.{_MODULES[name]}").experiment()
    return experiment
