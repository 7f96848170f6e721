"""Every Python block of the documentation runs, each in a process of its own."""

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", text, re.M | re.S), 1):
            found.append((f"{page.relative_to(ROOT)}#{number}", block))
    return found


BLOCKS = blocks()


def test_there_are_blocks_to_run():
    assert len(BLOCKS) > 5


@pytest.mark.parametrize("code", [b for _, b in BLOCKS], ids=[name for name, _ in BLOCKS])
def test_block_runs(code, tmp_path):
    script = tmp_path / "block.py"
    if "mr.run(" in code:
        run_until_served(script, code)
        return
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def run_until_served(script: Path, code: str) -> None:
    """Start a script that serves until it is told to stop; ask it once; tell it."""
    # A port of the kernel's choice instead of the one a reader would type.
    script.write_text(re.sub(r"port=\d+", "port=0", code))
    process = subprocess.Popen(
        [sys.executable, script], cwd=script.parent, stderr=subprocess.PIPE, text=True
    )
    try:
        url = ""
        for line in process.stderr:
            if found := re.search(r"http://[\d.]+:\d+", line):
                url = found[0]
                break
        assert url, "the script says where it listens"
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
