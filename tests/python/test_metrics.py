"""Metrics: what Prometheus is told, over a route and as values."""

from __future__ import annotations

import collections
import itertools
import pickle
from contextlib import ExitStack

import millrace as mr
import pytest
from millrace import metrics
from millrace.metrics import Family, Metrics, Sample
from prometheus_client.parser import text_string_to_metric_families

from tests.python.test_refused_requests_log import REFUSED, WHOLE
from tests.python.wire import Wire, eventually, fetch, get, request

DURATION = "http_server_request_duration_seconds"


def parsed(text: str) -> dict[str, object]:
    return {family.name: family for family in text_string_to_metric_families(text)}


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.metrics("/metrics")
    app.respond("/hello", "hello")

    @app.get("/users/{user_id:int}")
    def user(request):
        return {"id": request.path_params["user_id"]}

    @app.get("/odd")
    async def odd(request):
        return mr.Response("", status=int(request.query_params["status"]))

    @app.get("/fails")
    def fails(request):
        raise LookupError("no")

    return app


def counted(server: mr.Server, **labels: str) -> int:
    return sum(sample.count for sample in server.metrics()[DURATION].matching(**labels))


def test_requests_are_counted_by_method_status_and_route(app, serve, pattern):
    server = serve(app, pattern=pattern)
    for user in range(3):
        get(server, f"/users/{user}")
    get(server, "/hello")
    get(server, "/nowhere")
    get(server, "/fails")
    fetch(server, "POST", "/hello", body=b"x")
    fetch(server, "BREW", "/hello")
    eventually(lambda: server.metrics()[DURATION].total == 8)
    assert counted(server, http_route="/users/{user_id:int}", http_response_status_code="200") == 3
    assert counted(server, http_route="/hello", http_request_method="GET") == 1
    assert counted(server, http_route="/fails", http_response_status_code="500") == 1
    assert counted(server, http_response_status_code="404") == 1
    assert counted(server, http_request_method="POST", http_response_status_code="405") == 1
    assert counted(server, http_request_method="_OTHER") == 1
    assert all(
        sample.labels.get("http_route", "").startswith(("/users/{", "/hello", "/fails", "/metr"))
        for sample in server.metrics()[DURATION].samples
        if sample.labels["http_response_status_code"] in ("200", "500")
    )


def test_requests_that_the_protocol_refuses_are_counted_by_status(serve, pattern):
    server = serve(mr.App(), pattern=pattern, metrics=True)
    expected = collections.Counter()
    for text, status, _, line in REFUSED:
        with Wire(server) as wire:
            assert wire.send(text).read().status == status
        # Where the line's end was never found, or was no good, its method is nobody's word.
        method = line.split()[0] if line in WHOLE else "_OTHER"
        expected[method, str(status)] += 1
    eventually(lambda: counted(server) == len(REFUSED))
    samples = server.metrics()[DURATION].samples
    found = {
        (one.labels["http_request_method"], one.labels["http_response_status_code"]): one.count
        for one in samples
    }
    assert found == expected
    assert not any("http_route" in one.labels for one in samples)
    assert server.stats().total("protocol_errors") == len(REFUSED)


IN_THE_BODY = [
    ({"Content-Length": "10"}, b"half", 408),
    ({"Transfer-Encoding": "chunked"}, b"4\r\nhalf", 408),
    ({"Transfer-Encoding": "chunked"}, b"no size\r\n", 400),
    ({"Transfer-Encoding": "chunked"}, b"4\r\nfour and more", 400),
]


def test_each_status_is_counted_as_often_as_it_is_in_the_access_log(app, serve, pattern, tmp_path):
    app.post("/whole")(lambda request: request.body)

    @app.post("/streamed")
    async def streamed(request):
        return await request.read()

    log = tmp_path / "access.log"
    server = serve(app, pattern=pattern, limits=mr.Limits(body_timeout="1s"),
                   access_log=mr.AccessLog(log, format="%m %s"))  # fmt: skip
    expected = collections.Counter()
    with ExitStack() as stack:
        wires, sent = [], 0
        for path, (fields, body, status), is_later in itertools.product(
            ("/whole", "/streamed"), IN_THE_BODY, (False, True)
        ):
            wire, head = stack.enter_context(Wire(server)), request("POST", path, fields)
            first, rest = (head, body) if is_later else (head + body, b"")
            wire.send(first)
            sent += len(first)
            wires.append((wire, rest, status))
        eventually(lambda: server.stats().total("bytes_in") == sent)
        for wire, rest, _ in wires:
            wire.send(rest)
        for wire, _, status in wires:
            assert wire.read().status == status
            expected[f"POST {status}"] += 1
    for path, status in {"/hello": 200, "/nowhere": 404, "/fails": 500}.items():
        assert get(server, path).status == status
        expected[f"GET {status}"] += 1
    for text, status, _, line in REFUSED:
        with Wire(server) as wire:
            assert wire.send(text).read().status == status
        expected[f"{line.split()[0] if line in WHOLE else '-'} {status}"] += 1
    eventually(lambda: counted(server) == expected.total())
    eventually(lambda: len(log.read_text().splitlines()) == expected.total())
    assert collections.Counter(log.read_text().splitlines()) == expected
    found = collections.Counter()
    for one in server.metrics()[DURATION].samples:
        method = one.labels["http_request_method"].replace("_OTHER", "-")
        found[f"{method} {one.labels['http_response_status_code']}"] += one.count
    assert found == expected


def test_the_route_says_the_same_in_prometheus_words(app, serve):
    server = serve(app, pattern=mr.patterns.acceptor_queue_workers(workers=2))
    get(server, "/users/7")
    eventually(lambda: counted(server) == 1)
    answer = get(server, "/metrics")
    assert answer.status == 200
    assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    families = parsed(answer.text)
    samples = {(s.name, s.labels.get("le")): s for s in families[DURATION].samples}
    one = samples[DURATION + "_count", None]
    assert one.value == 1
    assert one.labels == {
        "http_request_method": "GET",
        "url_scheme": "http",
        "http_response_status_code": "200",
        "http_route": "/users/{user_id:int}",
    }
    assert samples[DURATION + "_bucket", "+Inf"].value == 1
    for name in (
        "millrace_requests",
        "millrace_queue_depth",
        "millrace_stage_duration_seconds",
        "http_server_active_requests",
        "process_cpu_seconds",
        "process_open_fds",
    ):
        assert families[name].samples, name
        assert families[name].documentation.endswith("."), name
    assert families["millrace_queue_workers"].samples[0].value == 2


def test_values_and_text_agree(app, serve):
    server = serve(app)
    get(server, "/hello")
    eventually(lambda: counted(server) == 1)
    values = server.metrics()
    families = parsed(metrics.render(values))
    for name, family in values.items():
        if not family.samples:
            continue
        found = families[name.removesuffix("_total") if family.kind == "counter" else name]
        assert found.type == family.kind
        plain = [s for s in found.samples if not s.name.endswith(("_bucket", "_count"))]
        assert [s.value for s in plain] == pytest.approx([s.value for s in family.samples])


def test_it_never_enters_python(serve):
    app = mr.App()
    app.metrics("/metrics")
    server = serve(app)
    get(server, "/metrics")
    eventually(lambda: server.stats().total("requests_native") == 1)
    assert server.stats().total("gil_waits") == 0


def test_a_server_without_the_route_counts_only_where_it_is_told_to(serve):
    app = mr.App()
    app.respond("/", "x")
    for options, seen in (({}, False), ({"metrics": True}, True)):
        server = serve(app, **options)
        get(server, "/")
        eventually(lambda server=server: server.stats().total("requests") == 1)
        assert (DURATION in server.metrics() and server.metrics()[DURATION].total == 1) is seen
        assert server.metrics()["millrace_requests_total"].total == 1


def test_every_status_that_a_handler_chooses_has_its_series(app, serve):
    server = serve(app)
    with Wire(server) as wire:
        for status in range(200, 600):
            if status not in (204, 304):
                wire.get(f"/odd?status={status}")
    eventually(lambda: counted(server) == 398)
    assert len(server.metrics()[DURATION].samples) == 398


def test_an_included_apps_route_counts_under_its_full_pattern(serve):
    inner = mr.App()
    inner.metrics("/metrics")
    inner.respond("/{name}", "x")
    app = mr.App()
    app.include("/api", inner)
    server = serve(app)
    get(server, "/api/one")
    eventually(lambda: counted(server, http_route="/api/{name}") == 1)
    assert get(server, "/api/metrics").status == 200


def test_the_journey_stays_off_where_it_is_off_and_metrics_are_on(app, serve):
    server = serve(app, journey=False)
    get(server, "/hello")
    eventually(lambda: counted(server) == 1)
    assert not server.journey().is_enabled
    assert server.journey().requests == 0
    assert not server.metrics()["millrace_stage_duration_seconds"].samples


def test_hostile_label_values_survive_the_way_to_prometheus():
    text = 'a\\b"c"\nd{}=,é'
    family = Family("x_total", 'Help\\ "with"\nall.', "counter", samples=(Sample({"l": text}, 1),))
    found = parsed(metrics.render(Metrics([family])))["x"]
    assert found.samples[0].labels == {"l": text}
    assert found.documentation == 'Help\\ "with"\nall.'


def test_metrics_travel_between_processes_and_add_up(app, serve):
    server = serve(app)
    get(server, "/hello")
    eventually(lambda: counted(server) == 1)
    mine = server.metrics()
    theirs = pickle.loads(pickle.dumps(mine))
    both = metrics.merge([mine, theirs])
    assert both[DURATION].total == 2
    name = "millrace_requests_total"
    assert both[name].total == 2 * mine[name].total
    start = "process_start_time_seconds"
    assert both[start].samples == mine[start].samples
    parsed(metrics.render(both))


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(ValueError, match="'summary' is not one of"):
        metrics.render(Metrics([Family("x", "", "summary")]))


def test_metrics_are_shown_as_a_table(app, serve):
    server = serve(app)
    shown = str(server.metrics())
    assert "millrace_accepts_total" in shown
    assert "http_server_active_requests" in shown


@pytest.mark.in_process
def test_a_request_that_python_keeps_is_recorded_in_full(serve, pattern):
    """Its head is read a last time after the handler has let it go."""
    app = mr.App()
    kept = []

    @app.get("/kept/{name}")
    def keep(request):
        kept.append(request)
        return "ok"

    @app.get("/async/{name}")
    async def keep_too(request):
        kept.append(request)
        return "ok"

    server = serve(app, metrics=True, pattern=pattern)
    get(server, "/kept/1")
    get(server, "/async/2")
    eventually(lambda: counted(server, http_request_method="GET") == 2)
    assert [request.path for request in kept] == ["/kept/1", "/async/2"]
    assert counted(server, http_route="/kept/{name}") == 1
