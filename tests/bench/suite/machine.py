"""What the numbers were taken on: a figure without its machine is worth nothing."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    processor: str
    cores: int
    memory_gb: int
    kernel: str
    python: str


def describe_machine() -> Machine:
    return Machine(
        processor=_field("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        cores=os.cpu_count() or 0,
        memory_gb=_memory_gb(),
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
    )


def _memory_gb() -> int:
    kilobytes = _field("/proc/meminfo", "MemTotal").partition(" ")[0]
    return round(int(kilobytes or 0) / 1024**2)


def _field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
