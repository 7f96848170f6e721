"""The circumstances of a measurement, kept beside its numbers."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from millrace import _core
from millrace.lab.machine import Machine

__all__ = ["environment", "ticks_per_second"]

# Those that an experiment's result may depend on.
_SYSCTLS = (
    "net.core.somaxconn",
    "net.core.rmem_default",
    "net.core.wmem_default",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_autocorking",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_wmem",
)


def environment() -> dict[str, Any]:
    """Return machine, kernel, its settings and versions, as JSON can hold them.

    Settings that cannot be read here are left out. They are those of the namespace that asks.

    Examples
    --------
    >>> environment()["kernel"]["release"] == platform.release()
    True
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "millrace": _core.__version__,
        "machine": asdict(Machine.here()),
        "kernel": {
            "release": platform.release(),
            "version": platform.version(),
            "ticks_per_second": ticks_per_second(),
            "sysctls": {name: value for name in _SYSCTLS if (value := _sysctl(name)) is not None},
        },
        "load_average": os.getloadavg(),
    }


def ticks_per_second() -> int | None:
    """Return the kernel's HZ, which its timers are rounded to; None where it does not say."""
    import gzip

    for path, opened in (
        (Path("/proc/config.gz"), gzip.open),
        (Path(f"/boot/config-{platform.release()}"), Path.open),
    ):
        try:
            with opened(path, "rb") as config:
                found = re.search(rb"^CONFIG_HZ=(\d+)$", config.read(), re.M)
        except OSError:
            continue
        if found:
            return int(found[1])
    return None


def _sysctl(name: str) -> str | None:
    try:
        text = Path("/proc/sys", name.replace(".", "/")).read_text(encoding="ascii")
    except OSError:
        return None
    return " ".join(text.split())
