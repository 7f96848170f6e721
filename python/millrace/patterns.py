"""Execution patterns: who accepts a connection, who owns it, who runs the handlers.

A pattern is a value. Each function here names a usual mix and says when to choose it; `Pattern`
makes others of the same answers.

Examples
--------
>>> import millrace as mr
>>> mr.patterns.acceptor_queue_workers(workers=2)
acceptor_queue_workers(workers=2, capacity=1024)
>>> mr.Pattern(accept="one_loop", place="least_connections", dispatch=mr.patterns.queue(workers=8),
...            loops=2)
Pattern(accept='one_loop', place='least_connections', dispatch=queue(workers=8, capacity=1024), \
loops=2)
"""

from __future__ import annotations

import inspect
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

from millrace import _core
from millrace.units import byte_count, seconds

__all__ = [
    "MultiProcess",
    "Pattern",
    "Queue",
    "Subinterpreters",
    "acceptor_queue_workers",
    "acceptor_readers",
    "all",
    "multi_process",
    "parse",
    "queue",
    "reuseport_shards",
    "shared_acceptors",
    "single_thread",
    "subinterpreters",
]

Listener = Literal["shared", "reuseport"]
Accept = Literal["one_loop", "shared_socket", "socket_per_loop"]
Place = Literal["accepting_loop", "round_robin", "least_connections"]
Wakeup = Literal["blocking", "epoll", "epoll_exclusive"]


@dataclass(frozen=True)
class Queue:
    """A bounded queue in front of worker threads; made by `queue`."""

    workers: int
    capacity: int

    def __repr__(self) -> str:
        return f"queue(workers={self.workers}, capacity={self.capacity})"


def queue(*, workers: int = 4, capacity: int = 1024) -> Queue:
    """Run handlers on worker threads behind a bounded queue.

    Parameters
    ----------
    workers:
        Threads that run handlers. Python code of several threads takes turns, so more than a few
        help only where handlers wait.
    capacity:
        Requests that may wait; one more is answered 503 with Retry-After.
    """
    return Queue(workers=workers, capacity=capacity)


@dataclass(frozen=True, kw_only=True, repr=False)
class Pattern:
    """Three answers: who accepts, who owns the connection, who runs its handlers.

    Parameters
    ----------
    accept:
        ``"one_loop"``: the first loop accepts for all. ``"shared_socket"``: every loop accepts on
        one socket. ``"socket_per_loop"``: a socket for each (``SO_REUSEPORT``); the kernel spreads
        connections by a hash of their addresses.
    place:
        Which loop owns an accepted connection: ``"accepting_loop"``, ``"round_robin"`` or
        ``"least_connections"``.
    dispatch:
        ``"inline"`` runs handlers on the connection's loop; a `queue` on worker threads.
    loops:
        Threads that read, parse and write, a separate acceptor not counted.
    wakeup:
        How loops that share a socket wait for connections.
    separate_acceptor:
        The accepting loop owns no connections.
    name:
        What reports call it.

    Raises
    ------
    ValueError
        The answers contradict each other; the message says which.

    Examples
    --------
    >>> Pattern(accept="socket_per_loop", dispatch=queue(workers=2), loops=2).loops
    2
    """

    accept: Accept = "one_loop"
    place: Place = "accepting_loop"
    dispatch: Literal["inline"] | Queue = "inline"
    loops: int = 1
    wakeup: Wakeup = "epoll"
    separate_acceptor: bool = False
    name: str = "custom"

    def __post_init__(self) -> None:
        _one_of("accept", self.accept, get_args(Accept))
        _one_of("place", self.place, get_args(Place))
        _one_of("wakeup", self.wakeup, get_args(Wakeup))
        if self.dispatch != "inline" and not isinstance(self.dispatch, Queue):
            raise ValueError(
                f"dispatch={self.dispatch!r}: use 'inline' or millrace.patterns.queue(workers=...)"
            )
        self.recipe().check()

    def __repr__(self) -> str:
        named = _REPR.get(self.name)
        if named is not None:
            return f"{self.name}({named(self)})"
        fields = {
            "accept": self.accept,
            "place": self.place,
            "dispatch": self.dispatch,
            "loops": self.loops,
        }
        for name in ("wakeup", "separate_acceptor", "name"):
            if getattr(self, name) != getattr(type(self), name):
                fields[name] = getattr(self, name)
        return f"Pattern({', '.join(f'{key}={value!r}' for key, value in fields.items())})"

    def recipe(self) -> _core.Recipe:
        """Return the pattern as the engine reads it."""
        recipe = _core.Recipe()
        recipe.name = self.name
        recipe.accept = self.accept
        recipe.place = self.place
        recipe.wakeup = self.wakeup
        recipe.separate_acceptor = self.separate_acceptor
        recipe.loops = self.loops
        if isinstance(self.dispatch, Queue):
            recipe.run = "on_workers"
            recipe.workers = self.dispatch.workers
            recipe.queue_capacity = self.dispatch.capacity
        return recipe


def single_thread() -> Pattern:
    """One thread accepts, reads, runs handlers and writes.

    Choose it first: nothing is handed over, so a request costs least, and plain functions never
    run at the same time. A handler that blocks for 50 ms stops everyone else for 50 ms; make it a
    coroutine, or choose `acceptor_queue_workers`.
    """
    return Pattern(name="single_thread")


def acceptor_readers(
    *, readers: int = 4, assign: Literal["round_robin", "least_connections"] = "round_robin"
) -> Pattern:
    """One thread accepts and deals connections out to readers, which do everything else.

    Choose it for native routes on several cores, with connections that live long: the acceptor
    sees them all, so they are spread evenly. Python handlers still take turns.

    Parameters
    ----------
    readers:
        Threads that read, run handlers and write; one per core that may be spent.
    assign:
        ``"round_robin"``, or ``"least_connections"`` where connections differ in how long they
        live.
    """
    _one_of("assign", assign, ("round_robin", "least_connections"))
    return Pattern(
        name="acceptor_readers",
        accept="one_loop",
        place=assign,
        loops=readers,
        separate_acceptor=readers > 1,
    )


def acceptor_queue_workers(*, workers: int = 4, capacity: int = 1024) -> Pattern:
    """One thread accepts, reads and writes; workers run handlers from one bounded queue.

    Choose it for plain functions that block: on a database, on files, on other services. A slow
    request keeps one worker busy and nobody else waiting, whatever connection it came by.

    Parameters
    ----------
    workers:
        Handlers that may be under way at once.
    capacity:
        Requests that may wait for a worker; one more is answered 503 with Retry-After.
    """
    return Pattern(
        name="acceptor_queue_workers",
        accept="one_loop",
        dispatch=queue(workers=workers, capacity=capacity),
    )


def shared_acceptors(*, threads: int = 4, wakeup: Wakeup = "blocking") -> Pattern:
    """Several threads accept from one socket; each owns what it accepted.

    Choose it for short connections, as an idle thread takes the next one, and to study wake-ups.

    Parameters
    ----------
    threads:
        Threads that accept, read, run handlers and write.
    wakeup:
        ``"blocking"``: the kernel wakes one waiting thread after the other. ``"epoll"``: it wakes
        all of them for each connection. ``"epoll_exclusive"``: it wakes one, mostly the same one,
        so connections pile up there.
    """
    return Pattern(name="shared_acceptors", accept="shared_socket", loops=threads, wakeup=wakeup)


def reuseport_shards(*, loops: int = 4) -> Pattern:
    """Every loop has a listening socket of its own on the same port (``SO_REUSEPORT``).

    Choose it for many short connections on many cores: loops share nothing. The kernel picks a
    loop by address hash, not by load, so a busy loop keeps getting connections.

    Parameters
    ----------
    loops:
        Threads, each with a socket.
    """
    return Pattern(name="reuseport_shards", accept="socket_per_loop", loops=loops)


@dataclass(frozen=True, kw_only=True, repr=False)
class MultiProcess:
    """Worker processes, each of which serves by an inner pattern; made by `multi_process`."""

    processes: int
    inner: Pattern
    listener: Listener
    max_requests: int | None
    max_requests_jitter: int
    max_lifetime: float | None
    max_memory: int | None
    start_timeout: float
    stop_timeout: float
    crash_limit: int

    name = "multi_process"

    def __post_init__(self) -> None:
        _one_of("listener", self.listener, get_args(Listener))
        if not isinstance(self.inner, Pattern):
            raise ValueError(f"inner={self.inner!r}: use a pattern of one process")
        for option in ("processes", "max_requests", "max_lifetime", "max_memory", "start_timeout",
                       "stop_timeout", "crash_limit"):  # fmt: skip
            value = getattr(self, option)
            if value is not None and not value > 0:
                raise ValueError(f"{option} is {value}: it has to be more than zero")
        if self.max_requests_jitter < 0:
            raise ValueError(f"max_requests_jitter is {self.max_requests_jitter}: use 0 or more")

    def __repr__(self) -> str:
        usual = inspect.signature(multi_process).parameters
        given = [f"inner={self.inner!r}"]
        for name in list(usual)[2:]:
            value = getattr(self, name)
            default = usual[name].default
            if value != (seconds(default) if name.endswith("_timeout") else default):
                given.append(f"{name}={value!r}")
        return f"multi_process({self.processes}, {', '.join(given)})"

    @property
    def dispatch(self) -> Literal["inline"] | Queue:
        """Who runs handlers, inside each process."""
        return self.inner.dispatch

    def recipe(self) -> _core.Recipe:
        """Return the inner pattern as the engine reads it."""
        return self.inner.recipe()


def multi_process(
    processes: int | None = None,
    *,
    inner: Pattern | None = None,
    listener: Listener = "shared",
    max_requests: int | None = None,
    max_requests_jitter: int = 0,
    max_lifetime: float | str | None = None,
    max_memory: int | str | None = None,
    start_timeout: float | str = "60s",
    stop_timeout: float | str = "5s",
    crash_limit: int = 10,
) -> MultiProcess:
    """Several processes serve the app, each with an interpreter and a GIL of its own.

    Choose it for Python handlers that compute, on several cores, and where a crash must not take
    everything down. A supervisor in this process keeps the sockets and replaces workers; the app
    travels by name where it can be imported, else by cloudpickle. Workers share no memory:
    ``app.state`` and module globals are per process.

    Parameters
    ----------
    processes:
        Worker processes; as many as this process may use cores where it is left out.
    inner:
        The pattern in each of them; `single_thread` where it is left out.
    listener:
        ``"shared"``: all accept from the same socket, so an idle worker takes the next connection.
        ``"reuseport"``: a socket for each; the kernel spreads connections by a hash of their
        addresses, evenly but not by load.
    max_requests, max_requests_jitter:
        A worker is replaced when it has answered so many, and up to so many more, drawn for each,
        so that they do not leave together. It is counted about once a second.
    max_lifetime:
        A worker is replaced when it has served for so long.
    max_memory:
        A worker is replaced when its resident memory reaches so many bytes. The next one starts
        before it leaves, so there has to be room for one more.
    start_timeout:
        What a worker gets to import the app and enter its lifespan. One that takes longer is
        killed.
    stop_timeout:
        What a worker gets to end after its requests were cut off. One that takes longer is killed.
    crash_limit:
        So many workers in a row that end within a second are a crash loop: the server stops, the
        command line with exit code 3.

    Examples
    --------
    >>> multi_process(2, max_memory="500MB")
    multi_process(2, inner=single_thread(), max_memory=500000000)
    """
    return MultiProcess(
        processes=processes if processes is not None else len(os.sched_getaffinity(0)),
        inner=inner if inner is not None else single_thread(),
        listener=listener,
        max_requests=max_requests,
        max_requests_jitter=max_requests_jitter,
        max_lifetime=None if max_lifetime is None else seconds(max_lifetime),
        max_memory=None if max_memory is None else byte_count(max_memory),
        start_timeout=seconds(start_timeout),
        stop_timeout=seconds(stop_timeout),
        crash_limit=crash_limit,
    )


# Interpreters with a GIL of their own; those of 3.12 crash once they have imported asyncio.
_HAS_INTERPRETERS: bool = sys.version_info >= (3, 13)


@dataclass(frozen=True, kw_only=True, repr=False)
class Subinterpreters:
    """Loops of one process, each with an interpreter; made by `subinterpreters`."""

    interpreters: int

    name = "subinterpreters"
    dispatch: Literal["inline"] = "inline"

    def __post_init__(self) -> None:
        if not _HAS_INTERPRETERS:
            raise ValueError(
                "subinterpreters needs CPython 3.13 or later, and this is "
                f"{platform.python_version()}: use millrace.patterns.multi_process"
            )
        if self.interpreters < 1:
            raise ValueError(f"interpreters is {self.interpreters}: it has to be more than zero")

    def __repr__(self) -> str:
        return f"subinterpreters({self.interpreters})"

    def recipe(self) -> _core.Recipe:
        """Return what each interpreter serves by, as the engine reads it."""
        return single_thread().recipe()


def subinterpreters(interpreters: int | None = None) -> Subinterpreters:
    """Loops of one process, each with an interpreter and a GIL of its own (PEP 684).

    Choose it for Python handlers that compute, on several cores, where the app and all that it
    imports can be loaded in a sub-interpreter, and one process is wanted: one id, one listening
    socket, less memory than `multi_process`. The app is imported anew in each interpreter, or
    travels by cloudpickle; ``app.state`` and module globals are per interpreter. Needs CPython
    3.13.

    Parameters
    ----------
    interpreters:
        Loops, each with an interpreter; as many as this process may use cores where it is left
        out.

    Raises
    ------
    ValueError
        This Python is older than 3.13.
    """
    if interpreters is None:
        interpreters = len(os.sched_getaffinity(0))
    return Subinterpreters(interpreters=interpreters)


def all() -> Iterator[Pattern]:
    """Yield a small instance of every pattern of one process, each way to wake up included.

    Meant for tests that have to hold under every pattern.

    Examples
    --------
    >>> {pattern.name for pattern in all()} >= {"single_thread", "reuseport_shards"}
    True
    """
    seen = set()
    for recipe in _core.recipes():
        small = _from_recipe(recipe)
        shared = small.accept == "shared_socket"
        for wakeup in get_args(Wakeup) if shared else (small.wakeup,):
            pattern = replace(small, wakeup=wakeup)
            if pattern not in seen:
                seen.add(pattern)
                yield pattern


def parse(text: str) -> Pattern | MultiProcess | Subinterpreters:
    """Return the pattern that a command line names.

    Parameters
    ----------
    text:
        A name, or a name with options: ``"acceptor_queue_workers:workers=4,capacity=64"``. The
        option ``inner`` of multi_process comes last, and is such a text itself.

    Raises
    ------
    ValueError
        No such pattern or option; the message lists those there are.

    Examples
    --------
    >>> parse("shared_acceptors:threads=2,wakeup=epoll")
    shared_acceptors(threads=2, wakeup='epoll')
    """
    name, _, options = text.partition(":")
    make = _NAMED.get(name)
    if make is None:
        raise ValueError(f"pattern {name!r} is not one of {', '.join(_NAMED)}")
    accepted = inspect.signature(make).parameters
    chosen: dict[str, object] = {}
    if "inner" in accepted:
        before, is_given, inner = f",{options}".partition(",inner=")
        options = before.removeprefix(",")
        chosen = {"inner": parse(inner)} if is_given else {}
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key not in accepted:
            known = ", ".join(accepted) or "none"
            raise ValueError(f"{name} has no option {key!r}; its options: {known}")
        chosen[key] = _read_option(key, value, str(accepted[key].annotation))
    return make(**chosen)


def _read_option(key: str, value: str, kind: str) -> int | str:
    if "int" not in kind or "str" in kind:
        return value
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"{key}={value!r} is not a whole number") from None


def _from_recipe(recipe: _core.Recipe) -> Pattern:
    on_workers = recipe.run == "on_workers"
    return Pattern(
        name=recipe.name.partition(":")[0],  # rows that differ in wake-up only have a suffix
        accept=recipe.accept,  # type: ignore[arg-type]  # checked by Pattern itself
        place=recipe.place,  # type: ignore[arg-type]
        dispatch=queue(workers=2, capacity=64) if on_workers else "inline",
        loops=min(recipe.loops, 2),
        wakeup=recipe.wakeup,  # type: ignore[arg-type]
        separate_acceptor=recipe.separate_acceptor,
    )


def _one_of(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{option}={value!r}: use one of {', '.join(map(repr, choices))}")


def _queue_options(pattern: Pattern) -> str:
    assert isinstance(pattern.dispatch, Queue)
    return f"workers={pattern.dispatch.workers}, capacity={pattern.dispatch.capacity}"


_REPR: dict[str, Callable[[Pattern], str]] = {
    "single_thread": lambda pattern: "",
    "acceptor_readers": lambda pattern: f"readers={pattern.loops}, assign={pattern.place!r}",
    "acceptor_queue_workers": _queue_options,
    "shared_acceptors": lambda pattern: f"threads={pattern.loops}, wakeup={pattern.wakeup!r}",
    "reuseport_shards": lambda pattern: f"loops={pattern.loops}",
}

_NAMED: dict[str, Callable[..., Pattern | MultiProcess | Subinterpreters]] = {
    "single_thread": single_thread,
    "acceptor_readers": acceptor_readers,
    "acceptor_queue_workers": acceptor_queue_workers,
    "shared_acceptors": shared_acceptors,
    "reuseport_shards": reuseport_shards,
    "multi_process": multi_process,
    "subinterpreters": subinterpreters,
}
