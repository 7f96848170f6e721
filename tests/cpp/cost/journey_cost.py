"""Recording the journey costs at most 8 % of what the engine spends on a request without it.

Counted in instructions by callgrind, so that a busy machine changes nothing. Two run lengths are
subtracted from each other: what start and end cost falls out. What the kernel does for a request
is in neither number, which makes the bound stricter than it reads.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

BOUND = 1.08
# One clock_gettime through the vDSO takes 75 instructions (counted by single steps). callgrind runs
# without the vDSO, so readings are charged where the engine needs it; where the kernel trusts the
# time-stamp counter the engine reads that instead, and callgrind counts it like all else.
CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
CLOCK_READING = 0 if CLOCK_SOURCE.read_text().strip() == "tsc" else 75


def counted(program: str, requests: int, journey: str) -> tuple[int, int]:
    """Return the instructions below ``on_bytes`` and the clock readings among them."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind.out"
        subprocess.run(
            [
                "valgrind",
                "--tool=callgrind",
                f"--callgrind-out-file={out}",
                "--toggle-collect=millrace::conn::StreamPump::on_bytes*",
                program,
                str(requests),
                journey,
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
        text = out.read_text()
    total = int(re.search(r"^(?:totals|summary): (\d+)", text, re.M)[1])
    readings = 0
    # A call line follows the name of what is called: "cfn=(7) millrace::net::Reactor::clock()".
    names = dict(re.findall(r"c?fn=\((\d+)\) (\S.*)", text))
    clock = {number for number, name in names.items() if "Reactor::clock" in name}
    for number, calls in re.findall(r"cfn=\((\d+)\)[^\n]*\ncalls=(\d+)", text):
        if number in clock:
            readings += int(calls)
    return total, readings


def per_request(program: str, journey: str) -> float:
    """Return instructions per request, clock readings charged."""
    few, many = 1000, 3000
    less, more = counted(program, few, journey), counted(program, many, journey)
    instructions = (more[0] - less[0]) / (many - few)
    readings = (more[1] - less[1]) / (many - few)
    print(f"journey {journey}: {instructions:.0f} instructions and {readings:.1f} clock readings")
    if journey == "on" and readings < 3:
        sys.exit("the journey reads the clock more often than that: the counting is broken")
    return instructions + readings * CLOCK_READING


def main() -> None:
    """Compare, and exit with a sentence where the bound is missed."""
    on, off = (per_request(sys.argv[1], journey) for journey in ("on", "off"))
    print(f"ratio {on / off:.3f}, bound {BOUND}")
    if on > off * BOUND:
        sys.exit(f"the journey costs {on / off - 1:.1%} of a request, more than {BOUND - 1:.0%}")


if __name__ == "__main__":
    main()
