"""W3C trace context, against the specification and against OpenTelemetry's propagator."""

from __future__ import annotations

import json
import re

import millrace as mr
import pytest
from millrace.trace import TraceContext
from opentelemetry import trace as otel
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tests.python.wire import Wire, get

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def app() -> mr.App:
    app = mr.App()

    def shown(request):
        trace = request.trace
        assert request.trace is trace
        return {
            "trace_id": trace.trace_id,
            "parent_id": trace.parent_id,
            "sampled": trace.sampled,
            "tracestate": trace.tracestate,
            "is_new": trace.is_new,
            "out": trace.headers(),
        }

    @app.get("/plain")
    def plain(request):
        return shown(request)

    @app.get("/coroutine")
    async def coroutine(request):
        return shown(request)

    return app


@pytest.mark.parametrize("path", ["/plain", "/coroutine"])
def test_a_handler_sees_the_clients_trace(app, serve, pattern, path):
    server = serve(app, pattern=pattern)
    seen = get(server, path, {"traceparent": PARENT, "tracestate": "a=1,b=2"}).json()
    out = seen.pop("out")
    assert seen == {
        "trace_id": TRACE,
        "parent_id": SPAN,
        "sampled": True,
        "tracestate": "a=1,b=2",
        "is_new": False,
    }
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", out["traceparent"])
    assert SPAN not in out["traceparent"]
    assert out["tracestate"] == "a=1,b=2"


def test_a_trace_begins_here_where_the_client_sent_none(app, serve):
    server = serve(app)
    one, two = (get(server, "/plain").json() for _ in range(2))
    assert one["is_new"]
    assert one["trace_id"] != two["trace_id"]
    assert re.fullmatch("[0-9a-f]{32}", one["trace_id"])
    assert not one["sampled"]
    assert set(one["out"]) == {"traceparent"}


def test_two_parents_are_none(app, serve):
    with Wire(serve(app)) as wire:
        fields = [("traceparent", PARENT), ("traceparent", PARENT)]
        assert wire.ask("GET", "/plain", fields).json()["is_new"]


def test_several_states_are_one_list(app, serve):
    with Wire(serve(app)) as wire:
        fields = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", " b=2 ,, c=3")]
        assert wire.ask("GET", "/plain", fields).json()["tracestate"] == "a=1,b=2,c=3"


def test_a_kept_request_still_knows_its_trace(serve):
    app, kept = mr.App(), []

    @app.get("/")
    def keep(request):
        kept.append(request)
        return "x"

    get(serve(app), "/", {"traceparent": PARENT})
    assert kept[0].trace.trace_id == TRACE


@pytest.mark.parametrize(
    "text",
    [
        "",
        PARENT.upper(),
        PARENT + " ",
        PARENT + "-",
        PARENT + "-extra",
        PARENT[:-1],
        PARENT.replace("-", "_"),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"0-{TRACE}-{SPAN}-01",
        f"01-{TRACE}-{SPAN}-01extra",
        f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE[:-1]}\u0661-{SPAN}-01",
    ],
)
def test_what_is_malformed_begins_a_new_trace(text):
    trace = TraceContext.from_headers({"traceparent": text, "tracestate": "a=1"})
    assert trace.is_new
    assert trace.tracestate == ""


@pytest.mark.parametrize("text", [f"cc-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes"])
def test_a_later_version_is_read_as_far_as_known(text):
    trace = TraceContext.from_headers({"traceparent": text})
    assert (trace.trace_id, trace.sampled) == (TRACE, True)
    assert trace.headers()["traceparent"].startswith("00-")


def test_flags_that_are_not_known_are_not_passed_on():
    trace = TraceContext.from_headers({"traceparent": PARENT[:-2] + "ff"})
    assert trace.sampled
    assert trace.headers()["traceparent"].endswith("-03")


@pytest.mark.parametrize(
    ("state", "read"),
    [
        ("a=1", True),
        ("tenant1@vendor=x y", True),
        ("a=1,a=2", False),
        ("A=1", False),
        ("1a=1", False),
        ("a=", False),
        ("a=x=y", False),
        ("a", False),
        ("a=\x07", False),
        ("a" * 256 + "=1", True),
        ("a" * 257 + "=1", False),
        ("a=" + "x" * 256, True),
        ("a=" + "x" * 257, False),
        (",".join(f"k{i}=1" for i in range(32)), True),
        (",".join(f"k{i}=1" for i in range(33)), False),
    ],
)
def test_a_malformed_state_is_dropped_and_the_parent_stays(state, read):
    trace = TraceContext.from_headers({"traceparent": PARENT, "tracestate": state})
    assert trace.trace_id == TRACE
    assert trace.tracestate == (state if read else "")


def test_opentelemetry_reads_what_we_write_and_we_what_it_writes():
    propagator = TraceContextTextMapPropagator()
    ours = TraceContext.from_headers({"traceparent": PARENT, "tracestate": "a=1,t@v=2"})
    theirs = otel.get_current_span(propagator.extract(ours.headers())).get_span_context()
    assert f"{theirs.trace_id:032x}" == TRACE
    assert theirs.trace_flags.sampled
    assert theirs.trace_state.to_header() == "a=1,t@v=2"

    carrier: dict[str, str] = {}
    propagator.inject(carrier, otel.set_span_in_context(otel.NonRecordingSpan(theirs)))
    back = TraceContext.from_headers(carrier)
    assert (back.trace_id, back.sampled, back.tracestate) == (TRACE, True, "a=1,t@v=2")
    assert back.parent_id == f"{theirs.span_id:016x}"


IMPORTS = """
import sys
import urllib.request
import millrace as mr

app = mr.App()

def new_modules(use):
    before = set(sys.modules)
    use()
    return sorted(set(sys.modules) - before)

@app.get("/")
def show(request):
    return new_modules(lambda: (request.trace.headers(), request.query_params, request.headers))

if __name__ == "__main__":
    pattern = mr.patterns.PATTERN
    with mr.Server(app, pattern=pattern) as server:
        print(urllib.request.urlopen(server.url).read().decode())
"""


@pytest.mark.parametrize("pattern", ["single_thread()", "multi_process(1)"])
def test_no_request_waits_for_the_import_of_what_it_uses(script, pattern):
    program = script(IMPORTS.replace("PATTERN", pattern))
    code, out, err = program.finish()
    assert code == 0, err
    assert json.loads(out) == []
