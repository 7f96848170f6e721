"""Names a handler that keeps its thread, with the line it stands at."""

from __future__ import annotations

import logging
import traceback
from types import FrameType

__all__ = ["name_stuck"]

_log = logging.getLogger("millrace.error")


def name_stuck(
    thread: int, handler: str, what: str, so_far_s: float, frame: FrameType | None
) -> None:
    """Write one record about a handler that has kept its thread for too long.

    Parameters
    ----------
    thread:
        The thread, as `threading.get_ident` numbers them.
    handler:
        The pattern of its route, or ``"the TCP server at 127.0.0.1:8000"``.
    what:
        The request, such as ``"GET /path"``; empty where it has been answered already. For TCP and
        UDP who sent what it is called with, as ``"peer 127.0.0.1:5000"``.
    so_far_s:
        How long it has been at least, in seconds.
    frame:
        Where it stands; None where it has let go meanwhile.

    Examples
    --------
    >>> import sys, threading
    >>> name_stuck(threading.get_ident(), "/slow/{n}", "GET /slow/1", 10.0, sys._getframe())
    """
    # Requests may hold any byte above the controls, and a log takes lines of text.
    asked = "".join(c if " " <= c <= "~" else "?" for c in what) or "a request it has answered"
    stack = "".join(traceback.format_stack(frame)) if frame else "  (it has just let go)\n"
    _log.warning(
        "the handler of %s has kept thread %d for %.1f s, with %s; it stands at\n%s",
        handler, thread, so_far_s, asked, stack.rstrip("\n"),
    )  # fmt: skip
