"""Programs in a network of their own: counters start at zero, and nobody else's packets count."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys

import pytest

# `ip netns` needs a folder that a container may lack; an anonymous namespace needs nothing.
_COMMANDS = (["unshare", "-n"], ["unshare", "-Urn"])


@functools.cache
def _unshare() -> list[str] | None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return None
    for command in _COMMANDS:
        if subprocess.run([*command, "ip", "link", "set", "lo", "up"], capture_output=True,
                          check=False).returncode == 0:  # fmt: skip
            return command
    return None


def run_alone(source: str) -> str:
    """Run a Python program in a new network with a loopback; return what it printed."""
    command = _unshare()
    if command is None:
        pytest.skip("no network namespace of our own here: unshare(1) or ip(8) fails")
    done = subprocess.run(
        [*command, "sh", "-c", 'ip link set lo up && exec "$0" -c "$1"', sys.executable, source],
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
