"""What every process the suite starts has in common: its core, its limits, its end."""

import ctypes
import os
import resource
import signal
from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def on_core(core: int) -> Callable[[], None]:
    """A `preexec_fn`: pins to a core, allows many descriptors, dies with the suite.

    Pinned before exec, so that every thread and process of the child inherits the core. The death
    signal matters because a server may be stopped (SIGSTOP) when the suite is killed, and would
    stay so for ever; processes that a server starts itself do not inherit it.
    """

    def prepare() -> None:
        os.sched_setaffinity(0, {core})
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare
