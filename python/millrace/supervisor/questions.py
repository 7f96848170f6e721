"""What a supervisor has asked its workers, and who has not answered yet."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from typing import Any

from millrace.supervisor.channel import Channel

__all__ = ["LOOPS_SHARE", "Question", "Questions"]

# What the loops get of the time for an answer, so that those who ask them are heard in time.
LOOPS_SHARE = 0.8


class Question:
    """One question to several workers. Any thread.

    Attributes
    ----------
    number:
        What answers refer to.
    answered:
        Done when everybody that could be asked has answered or is gone.
    """

    def __init__(self, number: int, asked: Mapping[int, str]) -> None:
        self.number = number
        self.answered: Future[None] = Future()
        self._lock = threading.Lock()
        self._names = dict(asked)
        self._silent = set(asked)
        self._told: dict[int, Any] = {}

    def told(self) -> dict[str, Any]:
        """Return what came so far, by the names of those who told it, in the order of asking."""
        with self._lock:
            told = self._told
            return {name: told[number] for number, name in self._names.items() if number in told}

    def silent(self) -> list[str]:
        """Return the names of those who are there and have not answered."""
        with self._lock:
            return [name for number, name in self._names.items() if number in self._silent]

    def heard(self, number: int, told: Any = None) -> None:
        """Take an answer, or the end of somebody who owes one."""
        with self._lock:
            if number in self._silent:
                self._silent.discard(number)
                if told is not None:
                    self._told[number] = told


class Questions:
    """Those that are open. One thread, the supervisor's."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._open: dict[int, tuple[Question, set[int]]] = {}  # and who has the question

    def ask(
        self, workers: Iterable[tuple[int, str, Channel]], words: Mapping[str, Any]
    ) -> Question:
        """Ask workers, given as number, name and channel. One that takes no words stays silent."""
        workers, number = list(workers), next(self._numbers)
        question = Question(number, {worker: name for worker, name, _ in workers})
        message = {**words, "number": number}
        waiting = {worker for worker, _, channel in workers if channel.send(message)}
        self._open[number] = (question, waiting)
        self._settle(number)
        return question

    def answer(self, number: int, worker: int, told: Any) -> None:
        """Take the answer of a worker."""
        if number in self._open:
            question, waiting = self._open[number]
            question.heard(worker, told)
            waiting.discard(worker)
            self._settle(number)

    def drop(self, question: Question) -> None:
        """Expect no more answers to a question."""
        self._open.pop(question.number, None)

    def forget(self, worker: int) -> None:
        """Expect nothing any more of a worker that is gone."""
        for number in list(self._open):
            self.answer(number, worker, None)

    def _settle(self, number: int) -> None:
        question, waiting = self._open[number]
        if not waiting:
            del self._open[number]
            question.answered.set_result(None)
