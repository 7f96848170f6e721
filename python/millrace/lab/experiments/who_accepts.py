"""Which worker gets a new connection, by how workers wait for it."""

from __future__ import annotations

from functools import partial

from millrace.lab.experiment import Claim, Experiment, Quantity, Run
from millrace.lab.verdicts import Prediction
from millrace.lab.wakeups import count_wakeups, predict_wakeups
from millrace.patterns import Wakeup, reuseport_shards, shared_acceptors

__all__ = ["experiment"]

WORKERS = 4
CONNECTIONS = 200
QUICK_CONNECTIONS = 60
# Of the chi-squared distribution with three degrees of freedom: an even hash stays below it in 999
# of 1,000 rounds.
CHI_SQUARED_LIMIT = 16.27


def experiment() -> Experiment:
    """Return the experiment ``who-accepts``."""
    waits: dict[str, Wakeup] = {
        "blocking accept": "blocking",
        "epoll": "epoll",
        "epoll exclusive": "epoll_exclusive",
    }
    sleeps = {arm: predict_wakeups(wakeup, WORKERS)[0] for arm, wakeup in waits.items()}
    sleeps["socket per worker"] = Prediction(2, 2, "loop, close", relative=0.1, absolute=0.5)
    says = {
        "blocking accept": "Waking one acceptor and its loop, the close included, is 3 wake-ups.",
        "epoll": "A connection wakes all workers, and its close one: a herd.",
        "epoll exclusive": "A connection wakes one worker, and its close the same.",
        "socket per worker": "A connection wakes the one worker whose socket it came to.",
    }
    return Experiment(
        name="who-accepts",
        question="Which worker gets a new connection, and how many are woken for it?",
        formula="wake-ups per connection, n workers: blocking 3, epoll n + 1, exclusive 2, a "
        "socket each 2; busiest share: blocking 1/n, exclusive 1, a socket each by chance",
        source="accept(2) waits exclusively, first come first served; epoll_ctl(2), "
        "EPOLLEXCLUSIVE; socket(7), SO_REUSEPORT; Linux commits df0108c5da56 and da5e36308d9f",
        quantities=[
            Quantity("sleeps", "Wake-ups", "per connection"),
            Quantity("busiest", "Busiest worker", "% of connections", 100),
            Quantity("chi_squared", "Unevenness", "chi-squared"),
        ],
        arms={
            **{arm: partial(_shared, wakeup=wakeup) for arm, wakeup in waits.items()},
            "socket per worker": _socket_each,
        },
        claims=[
            *(Claim(arm, "sleeps", sleeps[arm], says[arm]) for arm in sleeps),
            Claim(
                "blocking accept",
                "busiest",
                Prediction(1 / WORKERS, 1 / WORKERS, "first come, first served", relative=0.1),
                "Threads that block in accept are served in turn, so all get as many.",
            ),
            Claim(
                "epoll exclusive",
                "busiest",
                Prediction(1, 1, "always the same first", relative=0.1),
                "The worker that is asked first gets everything it keeps up with.",
            ),
            Claim(
                "socket per worker",
                "chi_squared",
                Prediction(0, CHI_SQUARED_LIMIT, "even hash, 3 degrees of freedom, 0.1 %"),
                "The kernel's hash deals connections out evenly.",
            ),
        ],
        without_cause="the one queue that workers share: each has a socket of its own",
    )


def _shared(run: Run, *, wakeup: Wakeup) -> dict[str, float]:
    if run.without_cause:
        return _socket_each(run)
    return _count(run, shared=wakeup)


def _socket_each(run: Run) -> dict[str, float]:
    return _count(run, shared=None)


def _count(run: Run, *, shared: Wakeup | None) -> dict[str, float]:
    pattern = (
        shared_acceptors(threads=WORKERS, wakeup=shared)
        if shared
        else reuseport_shards(loops=WORKERS)
    )
    woken = count_wakeups(pattern, QUICK_CONNECTIONS if run.quick else CONNECTIONS)
    expected = woken.connections / WORKERS
    return {
        "sleeps": woken.sleeps / woken.connections,
        "busiest": max(woken.shares),
        "chi_squared": sum((count - expected) ** 2 / expected for count in woken.accepts),
    }
