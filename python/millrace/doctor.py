"""``millrace doctor``: what this machine offers an HTTP engine, what is missing, and the remedy."""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import os
import platform
import resource
import select
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Finding", "findings", "main"]

_EXAMPLES = """\
examples:
  millrace doctor
  millrace doctor --json
  millrace doctor --limits
  millrace doctor --limits 4711
  millrace doctor --limits http://127.0.0.1:8000/metrics
"""

Verdict = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    name, value:
        What, and how it was found.
    verdict:
        ``"ok"``, ``"note"`` (works, could be better) or ``"missing"``.
    remedy:
        What to do where it is not ok.
    """

    name: str
    value: str
    verdict: Verdict = "ok"
    remedy: str = ""


def main(argv: Sequence[str]) -> int:
    """Run ``millrace doctor``: 0, or 1 where something is missing that the engine needs."""
    parser = argparse.ArgumentParser(
        prog="millrace doctor",
        description="Show what this machine offers, what is missing, and the remedy.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.add_argument(
        "--limits", nargs="?", const="", metavar="PATH|PID|URL",
        help="every limit with its default; of a running server, named as for `millrace top`, with "
        "what it uses and has counted",
    )  # fmt: skip
    options = parser.parse_args(argv)
    if options.limits is not None:
        return _show_limits(options.limits, as_json=options.json)
    found = list(findings())
    if options.json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        _print(found)
    return 1 if any(finding.verdict == "missing" for finding in found) else 0


def _show_limits(target: str, *, as_json: bool) -> int:
    from millrace.cli_top import look, why_not
    from millrace.limit_table import as_table

    try:
        table = as_table(look(target) if target else None)
    except (OSError, EOFError, ValueError) as error:
        why = why_not(target, error) if isinstance(error, OSError) else str(error)
        print(f"millrace doctor: {target}: {why}", file=sys.stderr)
        return 1
    if as_json:
        rows = [dict(zip(table.headings, row, strict=True)) for row in table.rows]
        print(json.dumps(rows, indent=2))
    else:
        print(table.to_text())
    return 0


def findings() -> Iterator[Finding]:
    """Look at everything, without changing anything.

    Examples
    --------
    >>> {finding.name for finding in findings()} >= {"kernel", "cores", "python"}
    True
    """
    yield _engine()
    yield _kernel()
    yield _cores()
    yield Finding("python", f"{platform.python_implementation()} {platform.python_version()}")
    yield _descriptors()
    yield from _kernel_settings()
    yield _feature("SO_REUSEPORT", _has_reuseport, "reuseport_shards needs Linux 3.9")
    yield _feature("EPOLLEXCLUSIVE", _has_epoll_exclusive, "wakeup='epoll_exclusive': Linux 4.5")
    yield _feature("eventfd", _has_eventfd, "the engine needs Linux 2.6.27 or newer")
    yield _feature(
        "openat2",
        _has_openat2,
        "without it (Linux 5.6) static files follow no symbolic link",
        note=True,
    )
    yield _feature(
        "IPv6", _has_ipv6, "binding [::1] needs IPv6: enable it in the kernel", note=True
    )
    yield _private_network()
    yield from _libraries()


def _print(found: list[Finding]) -> None:
    marks = {"ok": "  ok     ", "note": "  note   ", "missing": "  MISSING"}
    width = max(len(finding.name) for finding in found)
    for finding in found:
        print(f"{marks[finding.verdict]} {finding.name:<{width}}  {finding.value}")
        if finding.remedy:
            print(f"{'':>{width + 12}}-> {finding.remedy}")


def _engine() -> Finding:
    try:
        from millrace import _core
    except ImportError as error:
        remedy = "install it again with `pip install .` in the project's folder"
        return Finding("millrace", f"the compiled engine is not there: {error}", "missing", remedy)
    return Finding("millrace", _core.__version__)


def _kernel() -> Finding:
    if sys.platform != "linux":
        return Finding("kernel", sys.platform, "missing", "the engine runs on Linux only")
    return Finding("kernel", f"Linux {platform.release()}")


def _cores() -> Finding:
    usable = len(os.sched_getaffinity(0))
    value = f"{usable} usable of {os.cpu_count()}"
    quota = _cpu_quota()
    if quota is not None and quota < usable:
        remedy = f"start no more loops than the {quota:g} cores that the control group grants"
        return Finding("cores", f"{value}, limited to {quota:g}", "note", remedy)
    if usable == 1:
        return Finding("cores", value, "note", "patterns with several loops gain nothing here")
    return Finding("cores", value)


def _cpu_quota() -> float | None:
    """Cores that the control group grants, or None for all."""
    text = _read("/sys/fs/cgroup/cpu.max")
    if text is None or text.startswith("max"):
        return None
    quota, period = text.split()
    return int(quota) / int(period)


def _descriptors() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    value = f"{soft} of at most {hard} descriptors"
    if soft < 10_000:
        remedy = f"`ulimit -n {min(hard, 65_536) if hard > 0 else 65_536}` for many connections"
        return Finding("nofile", value, "note", remedy)
    return Finding("nofile", value)


# Setting, least value that serves well, what to do below it.
_SETTINGS: tuple[tuple[str, int, str], ...] = (
    (
        "net/core/somaxconn",
        1024,
        "bursts of connections overflow: `sysctl net.core.somaxconn=4096`",
    ),
    (
        "net/ipv4/tcp_max_syn_backlog",
        512,
        "bursts of connections overflow: `sysctl net.ipv4.tcp_max_syn_backlog=4096`",
    ),
)
_SHOWN = (
    "net/ipv4/ip_local_port_range",
    "net/ipv4/tcp_tw_reuse",
    "net/ipv4/tcp_congestion_control",
)


def _kernel_settings() -> Iterator[Finding]:
    for setting, least, remedy in _SETTINGS:
        name, text = setting.rsplit("/", 1)[1], _read(f"/proc/sys/{setting}")
        if text is None:
            yield Finding(name, "not readable here", "note", "look at it on the host")
        elif int(text) < least:
            yield Finding(name, text, "note", remedy)
        else:
            yield Finding(name, text)
    for setting in _SHOWN:
        text = _read(f"/proc/sys/{setting}")
        if text is not None:
            yield Finding(setting.rsplit("/", 1)[1], " ".join(text.split()))


def _feature(name: str, probe: Callable[[], bool], remedy: str, *, note: bool = False) -> Finding:
    try:
        there = probe()
    except OSError:
        there = False
    if there:
        return Finding(name, "there")
    return Finding(name, "not there", "note" if note else "missing", remedy)


def _has_reuseport() -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return True


def _has_epoll_exclusive() -> bool:
    with socket.socket() as probe, select.epoll() as epoll:
        epoll.register(probe, select.EPOLLIN | select.EPOLLEXCLUSIVE)
    return True


def _has_eventfd() -> bool:
    os.close(os.eventfd(0))
    return True


def _has_openat2() -> bool:
    # The number is the same on every architecture; too small a structure is EINVAL where it exists.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(437, -1, None, None, 0)
    return ctypes.get_errno() != errno.ENOSYS


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
    return True


def _private_network() -> Finding:
    from millrace.lab.private_network import PrivateNetwork, PrivateNetworkUnavailable

    try:
        with PrivateNetwork():
            return Finding("private network", "there")
    except PrivateNetworkUnavailable as unavailable:
        remedy = "without it some of `millrace lab`'s experiments are skipped"
        return Finding("private network", str(unavailable), "note", remedy)


def _libraries() -> Iterator[Finding]:
    from importlib.util import find_spec

    for name in ("pandas", "matplotlib"):
        if find_spec(name) is None:
            yield Finding(name, "not installed", "note", "`pip install millrace[lab]` for reports")
        else:
            yield Finding(name, "there")


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return None
