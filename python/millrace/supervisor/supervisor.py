"""The process that serves nothing itself: it keeps the sockets and sees to the workers."""

from __future__ import annotations

import logging
import os
import selectors
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from functools import reduce
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from millrace import _core, logs
from millrace.connections import Connections, from_messages
from millrace.errors import WorkerFailed
from millrace.supervisor import totals
from millrace.supervisor.fleet import Action, Fleet, Member, State
from millrace.supervisor.keeper import Keeper
from millrace.supervisor.listeners import Listeners
from millrace.supervisor.log_lines import replay
from millrace.supervisor.questions import LOOPS_SHARE, Question, Questions
from millrace.supervisor.table import Worker
from millrace.supervisor.worker_process import WorkerProcess

__all__ = ["Supervisor"]

T = TypeVar("T")

_log = logging.getLogger("millrace.error")

# How long all workers have to answer a question; of one that does not, the last report counts.
_ANSWER_S = 1.0

# How long a turn lasts at most, and how long where a worker is about to be gone.
_TURN_S, _SHORT_TURN_S = 0.5, 0.005

# Workers have no deadline of their own where this process has one, and says when it is over.
_NO_LIMIT_S = 1e9

# How long one wait of a caller takes, so that Ctrl-C is heard.
_SLICE_S = 0.1


@dataclass(frozen=True)
class _Scrape:
    """A worker that was asked for the metrics of all."""

    worker: WorkerProcess
    question: Question
    until: float  # after that the last reports count


@dataclass
class _Slot:
    """What a place remembers of its workers that are gone."""

    begun: int = 0
    last_exit: str = ""
    stats: totals.Stats | None = None
    metrics: list[Any] = field(default_factory=list)


class Supervisor(Keeper):
    """Lives as the engine's own server does: listen, run_loops, accept, stop_accepting, drain,
    stop_loops. Each step once; the rest from any thread.

    Parameters
    ----------
    fleet:
        The decisions.
    listeners:
        The sockets.
    luggage:
        What each worker is given, see `luggage.pack`.
    on_failure:
        Called once, on a thread of its own, when there is no use in going on.
    """

    def __init__(
        self,
        fleet: Fleet,
        listeners: Listeners,
        luggage: bytes,
        on_failure: Callable[[str], None],
    ) -> None:
        super().__init__(listeners)
        self._fleet = fleet
        self._luggage = luggage
        self._on_failure = on_failure
        self._luggage_fd = -1
        self._workers: dict[int, WorkerProcess] = {}
        self._slots = [_Slot() for _ in range(fleet.policy.processes)]
        self._journey = totals.JourneySum()  # of the workers that are gone
        self._commands: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._wake_fd = -1
        self._thread: threading.Thread | None = None
        self._started: Future[None] = Future()
        self._rolls: list[Future[None]] = []
        self._questions = Questions()
        self._scrapes: list[_Scrape] = []  # one of each worker at most
        self._all_gone = threading.Event()
        self._must_end = False
        self._has_failed = False
        self._idle = "close"  # what becomes of connections that rest when all workers leave

    # --- life -----------------------------------------------------------------------------------

    def run_loops(self) -> None:
        """Start the workers; returns when all of them accept connections.

        Raises
        ------
        WorkerFailed
            One could not start; the message says why.
        """
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._luggage_fd = os.memfd_create("millrace-app", os.MFD_CLOEXEC)
        with os.fdopen(self._luggage_fd, "wb", closefd=False) as file:
            file.write(self._luggage)
        self._forget_logs = logs.on_reopen(self.reopen_logs)
        self._fleet.start(time.monotonic())
        self._thread = threading.Thread(target=self._run, name="millrace-supervisor", daemon=True)
        self._thread.start()
        _outcome(self._started)

    def retire(self, seconds: float) -> int:
        """Tell all workers to leave when connections that rest were served once more.

        Waits, and returns how many connections are left.
        """
        self._leave("one_more")
        if self._all_gone.wait(seconds):
            return 0
        connections: int = self.stats().get("connections", 0)
        return connections

    def drain(self, seconds: float) -> int:
        """Tell all workers to leave, wait, and return how many requests they still answer."""
        self._leave("close")
        if self._all_gone.wait(seconds):
            return 0
        in_flight: int = self.stats().get("in_flight", 0)
        return in_flight

    def under_way(self, most: int, seconds: float) -> tuple[list[tuple[str, float]], int]:
        """Return what the engine's own server does, of all workers; each silent one is a loop."""
        question = self._ask("under_way", seconds, most=most, seconds=seconds * LOOPS_SHARE)
        silent, told = len(question.silent()), question.told().values()
        return totals.join_under_way(told, most, silent)

    def _leave(self, idle: str) -> None:
        def leave() -> None:
            if not self._fleet.is_stopping:
                self._idle = idle
                self._fleet.stop(time.monotonic())

        self._do(leave)

    def wait_for_end(self, seconds: float, hurried: Callable[[], bool]) -> None:
        """Wait until the workers are gone, lifespans and background work included."""
        deadline = time.monotonic() + seconds
        while not hurried() and (left := deadline - time.monotonic()) > 0:
            if self._all_gone.wait(min(left, _SLICE_S)):
                return

    def stop_loops(self) -> None:
        """Cut off what is left, and wait until every worker is gone."""
        if self._thread is not None:
            self._do(self._begin_to_end)
            while self._thread.is_alive():
                self._thread.join(_SLICE_S)
            self._thread = None
            self._forget_logs()
            os.close(self._wake_fd)
            os.close(self._luggage_fd)
        self._listeners.close()

    def forget(self) -> None:
        """In the child of a fork: workers must see their channel close when the parent is gone."""
        for worker in self._workers.values():
            worker.channel.close()

    # --- what may be asked ----------------------------------------------------------------------

    def stats(self) -> totals.Stats:
        """Return what all workers counted, those that are gone included."""
        self._ask("stats")
        return self._do(self._sum_stats)

    def journey(self) -> totals.JourneySum:
        """Return where the time went in all workers, those that are gone included."""
        self._ask("journey")
        return self._do(self._sum_journeys)

    def reset_journey(self) -> None:
        """Forget the journey recorded so far, in every worker."""
        self._do(self._forget_journey)
        self._ask("reset_journey")

    def metrics(self) -> list[Any]:
        """Return the metrics of all workers; of those that are gone, what counts up."""
        self._ask("metrics")
        return _core.merge_metrics(self._do(self._all_metrics))

    def connections(self, most: int, seconds: float) -> Connections:
        """Return the connections of all workers; one that does not say in time is named."""
        question = self._ask("connections", seconds + _ANSWER_S, most=most, seconds=seconds)
        return from_messages(question.told().values(), question.silent())

    def reopen_logs(self) -> None:
        """Have every worker open its log files anew."""
        self._do(lambda: [one.channel.send({"reopen": True}) for one in self._workers.values()])

    def workers(self) -> list[Worker]:
        """Return one row per worker process there is."""
        self._ask("stats")
        return self._do(self._rows)

    def roll(self) -> None:
        """Replace the workers one by one; returns when the last old one is gone.

        Raises
        ------
        WorkerFailed
            A new one did not start; the old ones that are left serve on.
        """
        done: Future[None] = Future()

        def begin() -> None:
            self._rolls.append(done)
            self._fleet.roll(time.monotonic())

        self._do(begin)
        _outcome(done)

    def _ask(self, what: str, patience: float = _ANSWER_S, **details: Any) -> Question:
        """Ask every worker something, and wait a moment for the answers."""
        question = self._do(lambda: self._ask_all(what, **details))
        try:
            question.answered.result(patience)
        except NotYet:
            self._do(lambda: self._questions.drop(question))
        return question

    def _do(self, command: Callable[[], T]) -> T:
        """Run something on the supervisor's thread, and return what it does."""
        outcome: Future[T] = Future()

        def run() -> None:
            try:
                outcome.set_result(command())
            except BaseException as error:
                outcome.set_exception(error)

        thread = self._thread
        if thread is None or not thread.is_alive():
            return command()
        self._commands.put(run)
        os.eventfd_write(self._wake_fd, 1)
        while True:
            try:
                return outcome.result(_SLICE_S)
            except NotYet:
                if outcome.done():
                    raise
                if not thread.is_alive():
                    self._run_commands()  # nobody else will

    # --- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        with selectors.DefaultSelector() as self._selector:
            self._selector.register(self._wake_fd, selectors.EVENT_READ)
            while self._workers or self._fleet.members or not self._must_end:
                self._run_commands()
                self._reap()
                self._fleet.tick(time.monotonic())
                self._follow(self._fleet.take_actions())
                self._tell_waiters()
                self._wait()
                self._answer_scrapes()
            self._run_commands()
        self._tell_waiters(is_over=True)

    def _wait(self) -> None:
        is_ending = len(self._selector.get_map()) - 1 < len(self._workers)
        until = max(0.0, self._fleet.next_event() - time.monotonic())
        timeout = _SHORT_TURN_S if is_ending else min(until, _TURN_S)
        self._watch_for_room()
        for key, events in self._selector.select(timeout):
            if key.data is None:
                os.eventfd_read(self._wake_fd)
                continue
            if events & selectors.EVENT_WRITE:
                key.data.channel.flush()
            if events & selectors.EVENT_READ:
                self._listen_to(key.data)

    def _watch_for_room(self) -> None:
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                room = selectors.EVENT_WRITE if key.data.channel.has_unsent else 0
                self._selector.modify(key.fileobj, selectors.EVENT_READ | room, key.data)

    def _run_commands(self) -> None:
        try:
            while True:
                self._commands.get_nowait()()
        except Empty:
            pass

    def _follow(self, actions: list[Action]) -> None:
        for action in actions:
            member = action.member
            worker = self._workers.get(member.number)
            if action.what == "start":
                self._start(member)
            elif worker is None:
                pass  # it ended meanwhile
            elif action.what == "leave":
                worker.channel.send(self._farewell())
            elif action.what == "hurry":
                worker.channel.send({"hurry": True})
            else:
                _log.error("worker %d (pid %d) %s", member.slot + 1, worker.pid, member.why)
                worker.kill()

    def _farewell(self) -> dict[str, Any]:
        if self._fleet.is_stopping:  # this process says what is waited for, and how long
            return {"leave": self._idle, "drain": _NO_LIMIT_S, "quiet": True}
        return {"leave": "one_more", "drain": self._fleet.policy.drain, "quiet": False}

    def _start(self, member: Member) -> None:
        slot, listeners = member.slot, self._listeners
        try:
            worker = WorkerProcess(
                member.number,
                slot,
                self._luggage_fd,
                listeners.options_of(slot),
                listeners.descriptors(slot),
            )
        except Exception as error:
            self._fleet.ended(member.number, f"could not be started: {error}", time.monotonic())
            return
        self._workers[member.number] = worker
        self._slots[slot].begun += 1
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _listen_to(self, worker: WorkerProcess) -> None:
        messages = worker.channel.receive()
        if messages is None:
            self._selector.unregister(worker.channel)
            return
        for message in messages:
            self._hear(worker, message)

    def _hear(self, worker: WorkerProcess, message: Mapping[str, Any]) -> None:
        now, number = time.monotonic(), worker.number
        if "log" in message:
            replay(message["log"])
        if message.get("report") is not None:
            worker.report = message["report"]
            self._fleet.report(number, worker.requests, worker.memory(), now)
        if "answer" in message:
            self._questions.answer(message["answer"], number, message.get("told"))
        if "metrics" in message:
            scrape = _Scrape(worker, self._ask_all("metrics"), now + _ANSWER_S)
            self._scrapes.append(scrape)
        if "ready" in message:
            _log.debug("worker %d (pid %d) is ready", worker.slot + 1, worker.pid)
            self._fleet.ready(number, now)
        if "leaving" in message:
            self._fleet.leaving(number, now)
        if "failed" in message:
            worker.failure, worker.traceback = message["failed"], message["traceback"]

    def _ask_all(self, what: str, **details: Any) -> Question:
        """Ask every worker that serves; answered when all have said something or are gone."""
        return self._questions.ask(
            [
                (one.number, f"worker {one.slot + 1} (pid {one.pid})", one.channel)
                for one in self._workers.values()
                if self._fleet.members[one.number].state is not State.STARTING
            ],
            {"ask": what, **details},
        )

    def _answer_scrapes(self) -> None:
        now = time.monotonic()
        for scrape in list(self._scrapes):
            if scrape.question.answered.done() or now >= scrape.until:
                self._scrapes.remove(scrape)
                self._questions.drop(scrape.question)
                text = _core.render_metrics(_core.merge_metrics(self._all_metrics()))
                scrape.worker.channel.send({"metrics": text})

    def _reap(self) -> None:
        for worker in list(self._workers.values()):
            how = worker.how_it_ended()
            if how is None:
                continue
            while messages := worker.channel.receive():  # its last words
                for message in messages:
                    self._hear(worker, message)
            self._bury(worker, worker.how_it_ended() or how)

    def _bury(self, worker: WorkerProcess, how: str) -> None:
        member = self._fleet.members[worker.number]
        slot = self._slots[worker.slot]
        is_planned = member.state is State.LEAVING or self._fleet.is_stopping
        slot.last_exit = f"{member.why}; {how}" if member.why else how
        if not is_planned:
            _log.warning("worker %d (pid %d) %s", worker.slot + 1, worker.pid, slot.last_exit)
            if worker.traceback:
                _log.debug("where it failed:\n%s", worker.traceback)
        if worker.report is not None:
            stats = totals.settled(worker.report["stats"])
            slot.stats = stats if slot.stats is None else totals.add_stats(slot.stats, stats)
            self._journey.add(worker.report["journey"])
            counted = [family for family in worker.report["metrics"] if family[2] != "gauge"]
            slot.metrics = _core.merge_metrics(
                [slot.metrics, counted] if slot.metrics else [counted]
            )
        if worker.channel.fileno() in self._selector.get_map():
            self._selector.unregister(worker.channel)
        worker.channel.close()
        del self._workers[worker.number]
        self._questions.forget(worker.number)
        self._fleet.ended(worker.number, how, time.monotonic())

    def _begin_to_end(self) -> None:
        now = time.monotonic()
        self._must_end = True
        self._fleet.stop(now)
        self._fleet.hurry(now)

    def _tell_waiters(self, *, is_over: bool = False) -> None:
        fleet = self._fleet
        if not self._started.done():
            if fleet.failure is not None or is_over:
                why = fleet.failure or "it was stopped while it started"
                self._started.set_exception(WorkerFailed(why))
            elif fleet.has_started:
                self._started.set_result(None)
        elif fleet.failure is not None and not self._has_failed and not fleet.is_stopping:
            self._has_failed = True
            threading.Thread(
                target=self._on_failure, args=(fleet.failure,), name="millrace-failure"
            ).start()
        if fleet.is_stopping and not fleet.members:
            self._all_gone.set()
        if self._rolls and (not fleet.rolling or is_over):
            for done in self._rolls:
                if fleet.roll_failure is None:
                    done.set_result(None)
                else:
                    done.set_exception(WorkerFailed(fleet.roll_failure))
            self._rolls.clear()

    # --- sums, on the thread --------------------------------------------------------------------

    def _sum_stats(self) -> totals.Stats:
        places = []
        for at, slot in enumerate(self._slots):
            parts = [] if slot.stats is None else [slot.stats]
            parts += [
                one.report["stats"]
                for one in self._workers.values()
                if one.slot == at and one.report is not None
            ]
            if parts:
                places.append(reduce(totals.add_stats, parts))
        return reduce(totals.join_stats, places, totals.NOTHING)

    def _all_metrics(self) -> list[Any]:
        alive = [one.report["metrics"] for one in self._workers.values() if one.report]
        return [slot.metrics for slot in self._slots if slot.metrics] + alive

    def _sum_journeys(self) -> totals.JourneySum:
        alive = (one.report["journey"] for one in self._workers.values() if one.report)
        return totals.JourneySum.of([totals.journey_message(self._journey), *alive])

    def _forget_journey(self) -> None:
        self._journey = totals.JourneySum()

    def _rows(self) -> list[Worker]:
        rows = []
        for one in sorted(self._workers.values(), key=lambda one: (one.slot, one.number)):
            slot = self._slots[one.slot]
            rows.append(
                Worker(
                    slot=one.slot + 1,
                    pid=one.pid,
                    state=str(self._fleet.members[one.number].state),
                    started=one.started_at,
                    requests=one.requests,
                    restarts=slot.begun - 1,
                    memory_bytes=one.memory(),
                    last_exit=slot.last_exit,
                )
            )
        return rows


def _outcome(future: Future[None]) -> None:
    """Wait in glances: a signal that comes just before a wait begins would not end it."""
    while True:
        try:
            return future.result(_SLICE_S)
        except NotYet:
            if future.done():
                raise
        except WorkerFailed as failed:
            raise failed.with_traceback(None) from None  # where the future stood is nobody's help
