"""The examples of the documentation do what they say."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"

# What each prints, in parts: enough to see that it did its work.
PRINTS = {
    "streaming.py": ["'0', '1', '2', '3', '4'", "'tick 4'", '{"bytes":5000000}'],
    "coroutine_pool.py": ["pool open", '"query":7', "pool closed"],
    "middleware.py": ["200 {'price': 2.5} timed", "404", "200 {'ordered': 3} timed", "at most 10"],
    "background.py": ["201 welcome", "signed up", "sent", "nothing left undone"],
    "custom_pattern.py": ["sharded_workers", "[200, 200, 200, 200, 200, 200, 200, 200, 200]"],
    "tcp_lines.py": ["listening on 127.0.0.1:", "b'HELLO'"],
    "udp_echo.py": ["bound to 127.0.0.1:", "b'hello'", "1 read, 1 sent"],
    "upload_form.py": ['"title":"The sea"', '"name":"sea.jpg"', '"bytes":1000000', '"photo":"'],
    "journey.py": ["400 requests", "queue", "did not occur", "Half of the requests"],
}


def test_every_example_is_run_here():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*PRINTS, "hello.py"}


@pytest.mark.parametrize("name", PRINTS)
def test_the_example(script, name):
    code, out, err = script(arguments=[str(EXAMPLES / name)]).finish()
    assert (code, err) == (0, "")
    for part in PRINTS[name]:
        assert part in out


def test_the_ten_line_server(script):
    """As the command line starts it: the port of its own may be taken here."""
    serve = ["-m", "millrace", "serve", "hello:app", "--app-dir", str(EXAMPLES), "--port", "0"]
    program = script(arguments=serve)
    url = program.line_with("serving on").split(" on ")[1].split()[0]
    fetch = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())"
    _, out, _ = script(arguments=["-c", fetch, url + "/hello/Ada"]).finish()
    assert out == "Hello, Ada!\n"
    program.process.send_signal(signal.SIGINT)
    assert program.finish()[0] == 0
