"""The corpus of requests (tests/interop/requests) on the wire, under every execution pattern.

The codec's tests cut each of them at every byte; here each comes whole, byte by byte, and cut at a
few places that a seed names.
"""

from __future__ import annotations

import json
import random

import millrace as mr
import pytest

from tests.interop.corpus import Case, corpus
from tests.python.wire import Wire, eventually, request

pytestmark = pytest.mark.sanitize

# Behind each: the request that would be smuggled, or is the next one.
BEHIND = request("GET", "/behind", {"Connection": "close"})


def as_seen(request: mr.Request) -> str:
    path = request.path.encode("utf-8", "surrogateescape").decode("latin-1")
    query = f"?{request.query_string}" if request.query_string else ""
    return f"{request.method} {path}{query}"


@pytest.fixture
def app() -> mr.App:
    """An application of one handler, which answers with what it sees."""
    app = mr.App()
    methods = {"GET"} | {case.seen.split(" ")[0] for case in corpus() if case.seen}

    @app.route("/{rest:path}", methods=sorted(methods - {"CONNECT", "get"}))
    def handler(request):
        return [as_seen(request), request.body.decode("latin-1")]

    return app


def sent_for(case: Case) -> bytes:
    """Return its bytes and those behind it. A client that says close sends no more."""
    return case.request if case.closes else case.request + BEHIND


def whole(case: Case) -> list[bytes]:
    return [sent_for(case)]


def byte_by_byte(case: Case) -> list[bytes]:
    """Cut a long one in larger pieces: what fills it is alike."""
    everything = sent_for(case)
    step = 1 if len(everything) < 1000 else 97
    return [everything[at : at + step] for at in range(0, len(everything), step)]


def anywhere(case: Case) -> list[bytes]:
    everything = sent_for(case)
    at = sorted(random.Random(str(case)).choices(range(len(everything)), k=3))
    return [everything[a:b] for a, b in zip([0, *at], [*at, len(everything)], strict=True)]


def check(wire: Wire, case: Case) -> None:
    """Read what is answered: exactly one refusal, or two answers; then the end."""
    answer = wire.read(to=case.method)
    while answer.status == 100:
        answer = wire.read(to=case.method)
    if case.status:
        assert (answer.status, answer.header("connection")) == (case.status, "close")
    else:
        assert answer.status == case.answer
        if case.answer == 200:
            expected = json.dumps([case.seen, case.body.decode("latin-1")])
            if case.method == "HEAD":
                assert answer.header("content-length") == str(len(compact(expected)))
            else:
                assert answer.json() == json.loads(expected)
        if not case.closes:
            assert wire.read().json() == ["GET /behind", ""]
    assert wire.is_closed_cleanly()


def compact(text: str) -> bytes:
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("cut", [whole, byte_by_byte, anywhere], ids=lambda cut: cut.__name__)
def test_the_corpus_is_refused_or_accepted(serve, app, pattern, cut):
    server = serve(app, pattern=pattern)
    for case in corpus():
        try:
            with Wire(server) as wire:
                for piece in cut(case):
                    wire.send(piece)
                check(wire, case)
        except Exception as error:
            error.add_note(str(case))
            raise
    # No handler saw a refused one: what was answered is all that there was.
    refused = sum(1 for case in corpus() if case.status)
    accepted = sum(1 if case.closes else 2 for case in corpus() if not case.status)
    stats = eventually(lambda: (s := server.stats()).total("connections_open") == 0 and s)
    assert stats.total("protocol_errors") == refused
    assert stats.total("requests") == accepted
    assert stats.total("requests_failed") == 0
