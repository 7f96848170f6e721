"""The options of ``millrace serve`` that are an operator's: users, log files, a service manager."""

from __future__ import annotations

import argparse
import logging
import os
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from millrace import logs, reload, users
from millrace.cli_options import Each, reader
from millrace.listening import opened
from millrace.notify import take_sockets
from millrace.patterns import single_thread

__all__ = ["add_options", "check", "handed_over", "prepare", "watched"]

_log = logging.getLogger("millrace.error")


@reader
def _umask(text: str) -> int:
    try:
        mask = int(text, 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise ValueError(f"{text!r} is no file mode mask: write it in octal, such as 027")
    return mask


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    add = parser.add_argument
    add("--error-log", metavar="FILE", help="log to a file, re-opened on SIGUSR1, not to stderr")
    add("--user", metavar="NAME", help="serve as this user, once the addresses are bound")
    add("--group", metavar="NAME", help="serve with this group instead of the user's own")
    add("--reload", action="store_true", help="start anew when a file changes, for development")
    add("--reload-dir", action=Each, metavar="DIR", help="watch this folder (.); several times")
    add("--reload-include", action=Each, metavar="PATTERN", help="files that count beside *.py")
    add("--reload-exclude", action=Each, metavar="PATTERN", help="files or a folder that do not")
    add("--umask", type=_umask, metavar="MASK", help="of files and Unix sockets, in octal")


def check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse what does not go together, or is not there."""
    if options.error_log is not None and options.log_config is not None:
        parser.error("--error-log and --log-config exclude each other: name the file in the latter")
    for flag in ("--reload-dir", "--reload-include", "--reload-exclude"):
        given = getattr(options, flag[2:].replace("-", "_"))
        if given is not None and not options.reload:
            parser.error(f"{flag} does nothing without --reload: add it")
    for folder in options.reload_dir or ():
        if not Path(folder).is_dir():
            parser.error(f"--reload-dir: {folder} is no folder")
    if not options.reload:
        return
    if options.user is not None or options.group is not None:
        parser.error("--reload and --user exclude each other: one is for development, one is not")
    if not reload.is_available():
        parser.error("--reload needs watchfiles: pip install 'millrace[reload]'")


def watched(options: argparse.Namespace) -> reload.Watched:
    """Return which files make a server start anew."""
    return reload.Watched(
        folders=tuple(Path(folder) for folder in options.reload_dir or ["."]),
        include=("*.py", *(options.reload_include or ())),
        exclude=tuple(options.reload_exclude or ()),
    )


def handed_over() -> list[str]:
    """Return the addresses of the sockets that a service manager has opened for us.

    Raises
    ------
    ValueError
        It contradicts itself about them.
    """
    sockets = take_sockets(os.environ)
    if sockets:
        text = ", ".join(f"{one.name} ({one.bind})" for one in sockets)
        _log.info("the service manager hands over: %s", text)
    return [one.bind for one in sockets]


def _opened(options: argparse.Namespace, binds: list[str]) -> AbstractContextManager[list[str]]:
    return opened(
        binds,
        pattern=options.pattern or single_thread(),
        backlog=options.backlog,
        socket_options=options.socket_option,
    )


def prepare(options: argparse.Namespace, binds: list[str], stack: ExitStack) -> list[str]:
    """Do what has to be done as root, then give it up; return the addresses as they are now.

    Before the app is imported, so that none of its code runs as root and what it makes belongs to
    the user, and before any thread starts, so that all of them are the user's.

    Raises
    ------
    OSError, ValueError
        There is no such user, or it takes root to become it, or an address cannot be bound.
    """
    if options.umask is not None:
        os.umask(options.umask)
    if options.reload:
        return stack.enter_context(_opened(options, binds))
    if options.user is None and options.group is None:
        return binds
    identity = users.find_identity(options.user, options.group)
    users.check_may_become(identity)
    bound = stack.enter_context(_opened(options, binds))
    for bind in binds:
        if bind.startswith("unix:") and not bind.startswith("unix:@"):
            os.chown(bind.removeprefix("unix:"), identity.user, identity.group)
    for file in logs.files():
        file.give_to(identity.user, identity.group)
    users.become(identity)
    return bound
