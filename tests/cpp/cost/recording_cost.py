"""Counting a request for metrics, and writing its line of the access log, have bounds.

In instructions, counted by callgrind, so that a busy machine changes nothing. Where they were
measured, 165 of them took 10 ns and 2,440 took 155 ns: the bounds are well below the tenth and the
half of a microsecond that a request may pay. Two run lengths are subtracted from each other: what
the first request costs alone falls out.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

BOUNDS = {"metrics": 300, "log": 3000}


def counted(program: str, requests: int, what: str) -> int:
    """Return the instructions below ``request_done``."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={out}",
                "--toggle-collect=millrace::observe::RequestRecorder::request_done*",
                program,
                str(requests),
                what,
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        return int(re.search(r"^(?:totals|summary): (\d+)", out.read_text(), re.M)[1])


def per_request(program: str, what: str) -> float:
    """Return instructions per request."""
    few, many = 1000, 3000
    return (counted(program, many, what) - counted(program, few, what)) / (many - few)


def main() -> None:
    """Compare, and exit with a sentence where a bound is missed."""
    nothing = per_request(sys.argv[1], "off")
    for what, bound in BOUNDS.items():
        cost = per_request(sys.argv[1], what) - nothing
        print(f"{what}: {cost:.0f} instructions, bound {bound}")
        if not 10 < cost <= bound:
            sys.exit(f"{what} costs {cost:.0f} instructions per request, more than {bound}")


if __name__ == "__main__":
    main()
