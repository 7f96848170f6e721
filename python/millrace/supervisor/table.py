"""The table of worker processes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, overload

from millrace import human
from millrace.tables import ShownAsTable, TextTable, optional_module

if TYPE_CHECKING:
    import pandas

__all__ = ["Worker", "Workers"]


@dataclass(frozen=True)
class Worker:
    """One worker process.

    Attributes
    ----------
    slot:
        Its place, from 1; a successor takes the same.
    pid:
        The process's id.
    state:
        ``"starting"``, ``"serving"`` or ``"leaving"``.
    started:
        When the process was started, in seconds since 1970.
    requests:
        Requests that this process has answered.
    restarts:
        Processes that had this place before.
    memory_bytes:
        Resident memory.
    last_exit:
        How the process before this one ended, and why; empty for the first.
    """

    slot: int
    pid: int
    state: str
    started: float
    requests: int
    restarts: int
    memory_bytes: int
    last_exit: str


class Workers(ShownAsTable, Sequence[Worker]):
    """The worker processes of a server, shown as a table.

    Examples
    --------
    >>> workers = Workers([Worker(1, 4242, "serving", 0.0, 10, 0, 30_000_000, "")])
    >>> workers[0].pid
    4242
    """

    def __init__(self, rows: Sequence[Worker]) -> None:
        self._rows = list(rows)

    @overload
    def __getitem__(self, index: int) -> Worker: ...
    @overload
    def __getitem__(self, index: slice) -> list[Worker]: ...
    def __getitem__(self, index: int | slice) -> Worker | list[Worker]:
        return self._rows[index]

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def _table(self) -> TextTable:
        table = TextTable(
            f"{len(self)} worker process{'' if len(self) == 1 else 'es'}",
            ("worker", "state", "last exit", "pid", "age", "requests", "restarts", "memory"),
            labels=3,
        )
        now = time.time()
        for row in self._rows:
            table.add(
                str(row.slot),
                row.state,
                row.last_exit or "-",
                str(row.pid),
                human.duration(max(0.0, now - row.started)),
                human.count(row.requests),
                human.count(row.restarts),
                human.size(row.memory_bytes),
            )
        return table

    def to_pandas(self) -> pandas.DataFrame:
        """Return one row per worker.

        Raises
        ------
        ImportError
            pandas is not installed: ``pip install "millrace[lab]"``.
        """
        frames = optional_module("pandas", "Workers.to_pandas()")
        frame: pandas.DataFrame = frames.DataFrame([asdict(row) for row in self._rows])
        return frame
