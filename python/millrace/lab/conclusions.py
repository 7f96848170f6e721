"""Which pattern suits which load, in three sentences made of what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from millrace.lab.pattern_comparison import Cell, Comparison
from millrace.lab.predictions import Runs

__all__ = ["conclusions"]

# Two patterns that differ by less are called equal: as much as a prediction may be off.
SAME = 0.10

# Why a pattern that came out best did so.
_BECAUSE = {
    "single_thread": "nothing is handed over and nothing is shared",
    "acceptor_readers": "its acceptor deals connections out evenly",
    "shared_acceptors": "whichever thread is free takes the next connection",
    "reuseport_shards": "its loops share nothing",
    "acceptor_queue_workers": "any free worker takes the next request, whatever connection it "
    "came by, while a loop holds up every connection that it owns",
}


def conclusions(comparison: Comparison) -> tuple[str, str, str]:
    """Return one sentence for each kind of work, from the measured values alone.

    A sentence names the simplest of the patterns that came within 10 % of the best. Where the
    measurement does not support a claim, the sentence does not make it.
    """
    return (_on_computing(comparison), _on_waiting(comparison), _on_slow_requests(comparison))


def _on_computing(comparison: Comparison) -> str:
    native = comparison.of("cpu", Runs.NATIVE)
    python = comparison.of("cpu", Runs.PYTHON)
    if not native or not python:
        return "Work that computes was not measured."
    chosen, best, alone = _simplest(native), _capacity_of_best(native), _alone(native)
    sentence = f"For work that computes, take {_name(chosen)}: natively it answered "
    sentence += f"{chosen.measured('capacity'):,.0f} requests/s"
    if chosen is alone:
        sentence += f", and more threads brought no more than {best:,.0f}"
    elif alone:
        gain = chosen.measured("capacity") / alone.measured("capacity")
        sentence += (
            f", {gain:.1f} times what one thread did, because threads compute at once on "
            f"{_cores(comparison)}, and no pattern can do more than the cores"
        )
    return f"{sentence}; {_on_python(python)}."


def _on_python(cells: Sequence[Cell]) -> str:
    best, alone = _capacity_of_best(cells), _alone(cells)
    if alone is None:
        return f"in Python the best was {best:,.0f}"
    slowest = alone.measured("capacity")
    if best <= slowest * (1 + SAME):
        return (
            f"in Python stay with {_name(alone)} and its {slowest:,.0f}, as no pattern got more "
            f"than {best:,.0f}: one thread at a time holds the GIL"
        )
    return f"in Python the best got {best:,.0f} against {slowest:,.0f} for one thread"


def _on_waiting(comparison: Comparison) -> str:
    python = comparison.of("wait", Runs.PYTHON)
    if not python:
        return "Work that waits was not measured."
    chosen, alone = _simplest(python), _alone(python)
    sentence = (
        f"For work that waits, what counts is how many requests wait at once: plain functions "
        f"under {_name(chosen)} answered {chosen.measured('capacity'):,.0f} requests/s"
    )
    if alone is not None and alone is not chosen:
        sentence += (
            f" with {chosen.setup.threads} threads against {alone.measured('capacity'):,.0f} "
            "with one, whatever the pattern"
            if _all_same([cell for cell in python if cell is not alone])
            else f" against {alone.measured('capacity'):,.0f} for {_name(alone)}"
        )
    if coroutines := comparison.of("wait", Runs.COROUTINE):
        best = coroutines[0].measured("capacity")
        verb = "beat that" if best > chosen.measured("capacity") * (1 + SAME) else "reached"
        sentence += (
            f", and a coroutine {verb} on a single thread with {best:,.0f}, since it holds no "
            "thread while it waits"
        )
    return sentence + "."


def _on_slow_requests(comparison: Comparison) -> str:
    measured = [*comparison.of("skew", Runs.NATIVE), *comparison.of("skew", Runs.PYTHON)]
    native = [cell for cell in measured if cell.setup.handler == Runs.NATIVE]
    if not native:
        return "Work with slow requests was not measured."
    best = min(native, key=lambda cell: cell.measured("late"))
    worst = max(native, key=lambda cell: cell.measured("late"))
    limit = best.setup.work.limit
    others = [cell for cell in native if cell not in (best, worst)]
    between = ""
    if others:
        low = min(cell.measured("late") for cell in others)
        high = max(cell.measured("late") for cell in others)
        between = f" and {_percent_range(low, high)} with the others"
    return (
        f"When one request in a hundred is slow, take {_name(best)}: "
        f"{best.measured('late'):.1%} of its answers took over {limit * 1e3:.0f} ms, against "
        f"{worst.measured('late'):.1%} with {_name(worst)}{between}, because "
        f"{_BECAUSE[best.setup.pattern]}."
    )


def _simplest(cells: Sequence[Cell]) -> Cell:
    """Return the first cell, in the patterns' order, that is as good as the best."""
    best = _capacity_of_best(cells)
    return next(cell for cell in cells if cell.measured("capacity") >= best * (1 - SAME))


def _capacity_of_best(cells: Sequence[Cell]) -> float:
    return max(cell.measured("capacity") for cell in cells)


def _alone(cells: Sequence[Cell]) -> Cell | None:
    return next((cell for cell in cells if cell.setup.threads == 1), None)


def _all_same(cells: Sequence[Cell]) -> bool:
    values = [cell.measured("capacity") for cell in cells]
    return bool(values) and min(values) >= max(values) * (1 - SAME)


def _name(cell: Cell) -> str:
    return cell.setup.pattern


def _cores(comparison: Comparison) -> str:
    cores = comparison.machine.cores
    return "one core" if cores == 1 else f"{cores} cores"


def _percent_range(low: float, high: float) -> str:
    return f"{low:.1%}" if f"{low:.1%}" == f"{high:.1%}" else f"{low:.1%} to {high:.1%}"
