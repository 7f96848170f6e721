"""`millrace top` with the URL of a metrics route, and the parser of its text."""

from __future__ import annotations

import json
import math
import socket
import threading

import millrace as mr
import pytest
from millrace import cli, cli_top, cli_top_url, metrics
from millrace.cli_top_url import Route, quantile
from millrace.metrics import Family, Metrics, Sample
from millrace.prometheus_text import parse

from tests.python.wire import eventually, get


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.get("/")(lambda request: "x")
    app.metrics("/metrics")
    return app


def requests_in(seen):
    return sum(loop["requests"] for loop in seen["loops"])


def said_by_top(capsys, *arguments):
    """The one line of a failure."""
    assert cli.main(["top", *arguments, "--once"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


# --- what is shown --------------------------------------------------------------------------------


def test_top_shows_what_the_metrics_route_tells_of_every_pattern(app, serve, pattern, capsys):
    server = serve(app, pattern=pattern)
    for _ in range(5):
        assert get(server, "/").text == "x"
    look = Route(f"{server.url}/metrics")
    before = requests_in(eventually(lambda: (s := look()) and requests_in(s) >= 5 and s))
    assert cli.main(["top", f"{server.url}/metrics", "--once", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert requests_in(seen) >= before
    assert seen["urls"] == [f"{server.url}/metrics"]
    # The reading itself is one of each.
    assert (seen["connections"] >= 1, seen["in_flight"] >= 1) == (True, True)
    assert (seen["queue"] is not None) == isinstance(pattern.dispatch, mr.patterns.Queue)
    process = next(stage for stage in seen["stages"] if stage["name"] == "process")
    assert process["count"] >= 5
    assert 0 < process["p50"] <= process["p99"]


def test_a_url_without_a_path_asks_the_usual_one(app, serve, capsys):
    server = serve(app)
    assert cli.main(["top", server.url, "--once"]) == 0
    assert f"{server.url}/metrics" in capsys.readouterr().out


def test_what_the_text_does_not_hold_is_said_and_no_zero(app, serve, capsys):
    server = serve(app, pattern=mr.patterns.acceptor_queue_workers(workers=2), journey=False)
    assert cli.main(["top", server.url, "--once"]) == 0
    shown = capsys.readouterr().out
    assert "wait for 2 workers, refused 0" in shown
    missing = "process id, pattern, lines of the logs, longest queue, stages."
    assert f"Not in the metrics, so not shown: {missing}" in shown
    seen = Route(server.url)()
    del seen["loops"][0]["gil_wait_ns"]  # as of a server that does not count it
    (table,) = cli_top.tables(seen, None)
    assert table.rows[0][-1] == "-"
    assert "pid" not in table.title


def test_rates_come_from_two_readings(app, serve):
    server = serve(app)
    look = Route(server.url)
    before = look()
    for _ in range(10):
        get(server, "/")
    after = eventually(lambda: (s := look()) and requests_in(s) >= requests_in(before) + 10 and s)
    before["time"], after["time"] = 100.0, 102.0
    table, stages = cli_top.tables(after, before)
    assert table.headings[2] == "requests/s"
    assert float(table.rows[0][2]) == (requests_in(after) - requests_in(before)) / 2
    assert {row[-1] for row in stages.rows} == {"-"}  # the largest does not stand in the text


def test_counts_that_begin_anew_make_no_negative_rates(app, serve):
    seen = Route(serve(app).url)()
    before = {**seen, "loops": [{**seen["loops"][0], "requests": 1_000_000}]}
    table = cli_top.tables(seen, before)[0]
    assert table.headings[2] == "requests"
    assert "the server has been restarted" in table.notes[-1]


def test_the_live_view_of_a_url_ends_with_its_server(app, serve, script):
    server = serve(app)
    view = script(arguments=["-m", "millrace", "top", server.url, "--interval", "10ms"])
    view.line_with("requests/s", of="stdout")
    server.stop()
    code, _, err = view.finish()
    assert code == 1
    assert err.count("\n") == 1
    assert "millrace top: http://127.0.0.1:" in err


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("https://localhost/metrics", "TLS is not available in this version; name the http:// URL"),
        ("ftp://localhost/metrics", "write http://HOST:PORT/PATH"),
        ("http:///metrics", "write http://HOST:PORT/PATH"),
        ("http://me:secret@localhost/", "write http://HOST:PORT/PATH"),
        ("http://localhost:many/", "Port could not be cast"),
    ],
)
def test_a_url_that_cannot_be_asked_is_refused(capsys, target, says):
    with pytest.raises(SystemExit) as left:
        cli.main(["top", target])
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_nobody_there_is_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    line = said_by_top(capsys, f"http://127.0.0.1:{port}")
    assert line.endswith("Connection refused: is a server running there?")


def test_a_server_without_such_a_route_is_told_how_to_make_it(serve, capsys):
    line = said_by_top(capsys, serve(mr.App()).url)
    assert "GET /metrics was answered 404 Not Found: app.metrics('/metrics') makes such" in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<html>", "no metrics of millrace: line 1: '<html>' stands before any type"),
        ("", "no metrics of millrace: millrace_requests_total is missing"),
        ("# HELP a A.\n# TYPE a gauge\na 1\n", "millrace_requests_total is missing"),
    ],
)
def test_another_text_is_no_metrics(serve, capsys, text, says):
    app = mr.App()
    app.respond("/metrics", text)
    assert says in said_by_top(capsys, serve(app).url)


def test_an_answer_may_be_so_long_and_no_longer(app, serve, capsys, monkeypatch):
    server = serve(app)
    longest = [len(get(server, "/metrics").body) for _ in range(5)][-1]
    size = longest + 1000  # later ones are longer by some digits
    monkeypatch.setattr(cli_top_url, "_MOST_BYTES", size)
    assert cli.main(["top", server.url, "--once"]) == 0
    capsys.readouterr()
    monkeypatch.setattr(cli_top_url, "_MOST_BYTES", size - 1001)
    assert "the answer is longer than" in said_by_top(capsys, server.url)


def test_what_speaks_no_http_is_said(capsys):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            with listening.accept()[0] as asking:
                asking.recv(1000)
                asking.sendall(b"SSH-2.0-x\r\n")

        server = threading.Thread(target=answer)
        server.start()
        line = said_by_top(capsys, f"http://127.0.0.1:{listening.getsockname()[1]}")
        server.join()
    assert "this is no HTTP server" in line


# --- the text -------------------------------------------------------------------------------------


def test_what_a_server_writes_is_read_exactly(app, serve, pattern):
    server = serve(app, pattern=pattern)
    get(server, "/")
    text = get(server, "/metrics").text
    assert metrics.render(parse(text)) == text


def test_every_kind_of_value_and_label_survives():
    odd = 'a "quoted" back\\slash,\nand a {brace}="x",\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029'
    written = metrics.render(
        Metrics(
            [
                Family("a", f"Help of {odd}", "gauge", samples=(Sample({"x": odd, "y": ""}, 0.1),)),
                Family("b_total", "", "counter", samples=(Sample({}, 1e300), Sample({"l": "1"}))),
                Family("c", "C.", "histogram", bounds=(0.5, 1.0), samples=(
                    Sample({"le2": odd}, 2.5, (1, 0, 3)), Sample({"m": "2"}, 0.0, (0, 0, 0)))),
            ]
        )
    )  # fmt: skip
    read = parse(written)
    assert metrics.render(read) == written
    assert read["a"].samples[0].labels == {"x": odd, "y": ""}
    assert (read["c"].bounds, read["c"].samples[0].buckets) == ((0.5, 1.0), (1, 0, 3))


HISTOGRAM = '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 2\n'


@pytest.mark.parametrize(
    "text",
    [
        "a 1",
        "# TYPE a gauge\na 1",
        "# HELP a A.\na 1",
        "# HELP a A.\n# TYPE b gauge",
        "# HELP a A.\n# TYPE a summary",
        "# HELP a A.\n# TYPE a gauge\nb 1",
        "# HELP a A.\n# TYPE a gauge\na 1\na 2",
        "# HELP a A.\n# TYPE a gauge\na one",
        "# HELP a A.\n# TYPE a gauge\na 1 1700000000",
        '# HELP a A.\n# TYPE a gauge\na{x="1} 1',
        "# HELP a A.\n# TYPE a gauge\na{x=1} 1",
        HISTOGRAM,  # without its end
        HISTOGRAM + 'h_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1',  # fewer than below
        HISTOGRAM + 'h_bucket{le="+Inf"} 3\nh_sum 1\nh_count 4',
        HISTOGRAM + 'h_bucket{le="+Inf"} 3\nh_sum 1\nh_count 3\nh_max 1',
    ],
)
def test_what_no_server_writes_is_refused(text):
    with pytest.raises(ValueError, match=r"line \d|do not add up"):
        parse(text)


def test_a_quantile_lies_in_the_bucket_of_its_rank():
    family = Family("t", "", "histogram", bounds=(1.0, 2.0, 4.0))
    for buckets in [(4, 0, 0, 0), (1, 2, 1, 0), (0, 0, 5, 0), (3, 0, 7, 0), (0, 1, 0, 9)]:
        sample, edges = Sample(buckets=buckets), (0.0, 1.0, 2.0, 4.0, math.inf)
        for share in (0.1, 0.5, 0.9, 0.99):
            rank, at = share * sum(buckets), 0
            while sum(buckets[: at + 1]) < rank:
                at += 1
            found = quantile(family, sample, share)
            assert edges[at] <= found <= edges[at + 1]
            assert at < 3 or found == 4.0  # of the last bucket only its lower bound is known
