"""What the kernel counts about TCP, by the names that ``nstat -az`` shows."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

__all__ = ["network_counters"]


def network_counters() -> dict[str, int]:
    """Return the counters of this network namespace (proc_pid_net(5), netstat and snmp).

    Examples
    --------
    >>> network_counters()["TcpExtListenOverflows"] >= 0
    True
    """
    counters: dict[str, int] = {}
    for name in ("netstat", "snmp"):
        lines = Path("/proc/net", name).read_text(encoding="ascii").splitlines()
        # A line of names and a line of values for each protocol.
        for names, values in list(pairwise(lines))[::2]:
            protocol, _, rest = names.partition(":")
            keys, numbers = rest.split(), values.partition(":")[2].split()
            counters.update(
                (protocol + key, int(number)) for key, number in zip(keys, numbers, strict=True)
            )
    return counters
