"""Requests that the protocol refuses have their lines in the access log too."""

from __future__ import annotations

import json
import logging
import re

import millrace as mr
import pytest

from tests.python.wire import Wire, eventually, get, request

APP = mr.App()
APP.respond("/native", "native")


@APP.post("/whole")
def whole(request):
    return request.body


LONG = b"GET /" + b"x" * 9000
# What is sent, the status, the bytes of the answer, and the line as it stands in a log.
REFUSED = [
    (b"GET /two HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, 12, "GET /two HTTP/1.1"),
    (b"NONSENSE\r\n\r\n", 400, 12, "NONSENSE"),
    (b'G"T \\\x01\xe9\r\n\r\n', 400, 12, r"G\"T \\\x01\xe9"),
    (b"GET /lf HTTP/1.1\nHost: a\n\n", 400, 12, "GET /lf HTTP/1.1"),
    (LONG + b" HTTP/1.1\r\n\r\n", 414, 13, LONG[:1024].decode()),
    (b"GET /b HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431, 32, "GET /b HTTP/1.1"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, 16, "POST / HTTP/1.1"),
    (b"GET / HTTP/3.0\r\n\r\n", 505, 27, "GET / HTTP/3.0"),
    (b"\rX", 400, 12, "-"),
]  # fmt: skip
# These lines were good; the flaw stands behind them.
WHOLE = {"GET /two HTTP/1.1", "GET /b HTTP/1.1", "POST / HTTP/1.1"}


def send_all(server):
    for text, status, _, _ in REFUSED:
        with Wire(server) as wire:
            assert wire.send(text).read().status == status
            assert wire.is_closed_cleanly()


def lines_of(path, count):
    eventually(lambda: path.exists() and path.read_text().count("\n") >= count)
    return path.read_text().splitlines()


TIME = r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"


@pytest.mark.parametrize("format", ["common", "combined"])
def test_a_refused_request_has_its_line(serve, pattern, tmp_path, format):
    path = tmp_path / "access.log"
    server = serve(APP, pattern=pattern, access_log=mr.AccessLog(path, format=format))
    send_all(server)
    found = lines_of(path, len(REFUSED))
    behind = ' "-" "-"' if format == "combined" else ""
    assert sorted(re.sub(TIME, "[then]", line) for line in found) == sorted(
        f'127.0.0.1 - - [then] "{line}" {status} {size}{behind}'
        for _, status, size, line in REFUSED
    )
    assert server.stats()["access_log"] == {"lines": len(REFUSED), "dropped": 0}
    assert server.stats().total("protocol_errors") == len(REFUSED)
    assert server.stats().total("requests") == 0


def test_a_format_has_a_dash_for_what_was_not_read(serve, pattern, tmp_path):
    path = tmp_path / "access.log"
    server = serve(
        APP, pattern=pattern, access_log=mr.AccessLog(path, format="%h %m %U%q %H %R %s")
    )
    send_all(server)
    assert sorted(lines_of(path, len(REFUSED))) == sorted(
        f"127.0.0.1 {line if line in WHOLE else '- - -'} - {status}"
        for _, status, _, line in REFUSED
    )


def test_json_has_the_line_that_could_not_be_read(serve, pattern, tmp_path):
    path = tmp_path / "access.log"
    server = serve(APP, pattern=pattern, access_log=mr.AccessLog(path, format="json"))
    with Wire(server) as wire:
        assert wire.send('NON"SENSE\r\n\r\n').read().status == 400
    with Wire(server) as wire:
        # What stands before the flaw is known.
        text = "GET /a?b HTTP/1.0\r\nReferer: x\r\nContent-Length: x\r\n\r\n"
        assert wire.send(text).read().status == 400
    found = [json.loads(line) for line in lines_of(path, 2)]
    found.sort(key=lambda line: line["method"])
    for line in found:
        assert 0 <= line.pop("duration_s") < 20
        del line["time"]
    same = {"client": "127.0.0.1", "route": "", "status": 400, "bytes": 12, "user_agent": "",
            "complete": True}  # fmt: skip
    assert found[0] == {**same, "method": "", "target": "", "protocol": "",
                        "request_line": 'NON"SENSE', "referer": ""}  # fmt: skip
    assert found[1] == {**same, "method": "GET", "target": "/a?b", "protocol": "HTTP/1.0",
                        "referer": "x"}  # fmt: skip


def test_good_requests_before_a_refused_one_keep_their_place(serve, tmp_path):
    path = tmp_path / "access.log"
    server = serve(APP, access_log=mr.AccessLog(path, format='"%r" %s %b'))
    with Wire(server) as wire:
        wire.send(request("GET", "/native"), request("GET", "/native"), "GET /native\r\n\r\n")
        assert [wire.read().status for _ in range(3)] == [200, 200, 400]
    good = '"GET /native HTTP/1.1" 200 6'
    assert lines_of(path, 3) == [good, good, '"GET /native" 400 12']


def test_a_body_that_is_refused_is_its_requests_outcome(serve, pattern, tmp_path):
    path = tmp_path / "access.log"
    server = serve(APP, pattern=pattern, access_log=mr.AccessLog(path, format='"%r" %s %b'))
    head = "POST /whole HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for flaw in ("3\r\nabcd", "x"):  # behind data, and right behind the head
        with Wire(server) as wire:
            assert wire.send(head + flaw).read().status == 400
    assert lines_of(path, 2) == ['"POST /whole HTTP/1.1" 400 12'] * 2
    assert server.stats()["access_log"]["lines"] == 2


def test_half_a_head_is_in_the_log_and_silence_is_not(serve, tmp_path):
    path = tmp_path / "access.log"
    limits = mr.Limits(header_timeout="200ms", idle_timeout="100ms")
    server = serve(APP, limits=limits, access_log=mr.AccessLog(path, format='"%r" %s'))
    with Wire(server) as wire:
        assert wire.is_closed_cleanly()  # it said nothing, and is told nothing
    with Wire(server) as wire:
        assert wire.send("GET /ha").read().status == 408
    with Wire(server) as wire:
        assert wire.send("GET /hal").finish_sending().read().status == 400
    assert get(server, "/native").status == 200
    assert lines_of(path, 3) == ['"GET /ha" 408', '"GET /hal" 400', '"GET /native HTTP/1.1" 200']


def test_lines_of_refused_requests_that_find_no_room_are_counted(serve, pattern):
    server = serve(APP, pattern=pattern, access_log="/dev/full")
    send_all(server)
    everything = {"lines": 0, "dropped": len(REFUSED)}
    eventually(lambda: server.stats()["access_log"] == everything)


@pytest.mark.in_process
def test_refused_requests_are_records_but_never_slow(serve, pattern, caplog):
    caplog.set_level(logging.INFO, logger="millrace.access")
    logger = logging.getLogger("millrace.access")
    logger.addHandler(caplog.handler)
    try:
        server = serve(APP, pattern=pattern, slow_request=0)
        send_all(server)
        get(server, "/native")
        eventually(lambda: len(_records(caplog, "millrace.access")) == len(REFUSED) + 1)
        eventually(lambda: _records(caplog, "millrace.slow"))
    finally:
        logger.removeHandler(caplog.handler)
    said = sorted(record.getMessage() for record in _records(caplog, "millrace.access"))
    lines = [(line, status) for _, status, _, line in REFUSED]
    expected = [*lines, ("GET /native HTTP/1.1", 200)]
    assert said == sorted(f'127.0.0.1 - "{line}" {status}' for line, status in expected)
    (slow,) = _records(caplog, "millrace.slow")
    assert "GET /native 200" in slow.getMessage()
    unread = {
        record.request_line
        for record in _records(caplog, "millrace.access")
        if hasattr(record, "request_line")
    }
    assert {"NONSENSE", "GET / HTTP/3.0", ""} < unread
    assert server.stats()["access_records"] == {"lines": len(REFUSED) + 1, "dropped": 0}


def _records(caplog, name):
    """Return a logger's records; once each, though two handlers may have heard them."""
    return list({id(one): one for one in caplog.records if one.name == name}.values())
