"""How much more two worker processes answer than one process, where handlers compute in Python.

Run it on an idle machine with two cores or more: ``python tests/bench/processes.py``. The rounds
visit both servers in turn. The handler takes some 5 ms, so the load generator's share is small.
"""

import statistics
import sys

import millrace as mr

ROUNDS = 5
BOUND = 1.9


def app() -> mr.App:
    app = mr.App()
    app.get("/")(lambda request: {"sum": sum(i * i for i in range(60_000))})
    return app


def per_second(server: mr.Server) -> float:
    return mr.lab.load(server.url, connections=16, duration="3s", warmup="500ms").requests / 3


def main() -> int:
    two = mr.patterns.multi_process(2)
    ratios = []
    with mr.Server(app()) as one, mr.Server(app(), pattern=two) as both:
        for _ in range(ROUNDS):
            alone, together = per_second(one), per_second(both)
            ratios.append(together / alone)
            print(f"one process {alone:.0f}/s, two {together:.0f}/s, ratio {ratios[-1]:.2f}")
    median = statistics.median(ratios)
    print(f"median ratio {median:.2f}, from {min(ratios):.2f} to {max(ratios):.2f}; bound {BOUND}")
    return 0 if median >= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
