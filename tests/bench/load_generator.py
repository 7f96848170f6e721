"""The load generator's row alone: CPU per request of `millrace load` and of wrk.

usage: load_generator.py [--rounds 3] [--seconds 3] [--build build/bench]
"""

import argparse
import sys
from pathlib import Path

from suite.cores import TooFewCores, choose_cores
from suite.load_cost import measure_load_cost
from suite.measure import Plan
from suite.report import load_table
from suite.table import show
from suite.tools import BUILD, Tools, Unavailable


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU per request of the load generators.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each run")
    parser.add_argument("--build", type=Path, default=BUILD)
    options = parser.parse_args()
    tools = Tools(options.build.resolve())
    try:
        cost = measure_load_cost(Plan(options.rounds, options.seconds, tools, choose_cores()))
    except (TooFewCores, Unavailable) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1
    show(load_table(cost))
    return 0


if __name__ == "__main__":
    sys.exit(main())
