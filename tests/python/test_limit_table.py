"""Every limit has its row, its counter, its tests and its line in the documentation."""

from __future__ import annotations

import json
import os
import re
from dataclasses import fields
from pathlib import Path

import millrace as mr
import pytest
from millrace import _core, cli, monitor
from millrace.limit_rows import LIMIT_ROWS, OTHER_LIMIT_ROWS
from millrace.limit_table import as_markdown, as_table

from tests.python.wire import Wire, eventually, get

ROOT = Path(__file__).resolve().parents[2]

FORMS = "tests/python/test_forms.py"
READER = "tests/cpp/server/form_reader_test.cpp"
HTTP1 = "tests/python/test_http1_server.py"
LIMITS = "tests/python/test_limits.py"
OVERLOAD = "tests/python/test_overload.py"
CODED = "tests/python/test_coded_requests.py"
CHUNKS = "tests/cpp/proto/http1/chunk_limits_test.cpp"
SLOW = "tests/cpp/conn/slow_peer_test.cpp"
CODEC = "tests/cpp/proto/http1/server_test.cpp"

# Of each limit the test that goes to it and one past it.
TESTED = {
    "target_bytes": (HTTP1, "test_the_target_has_a_limit"),
    "head_bytes": (HTTP1, "test_the_head_has_a_limit"),
    "field_count": (HTTP1, "test_the_number_of_fields_has_a_limit"),
    "body_bytes": (HTTP1, "test_a_body_read_as_a_whole_has_a_limit"),
    "body_memory": (OVERLOAD, "test_whole_bodies_have_a_limit_together"),
    "body_memory_high_water": (OVERLOAD, "test_a_body_is_not_begun_above_the_mark"),
    "body_ahead_bytes": (
        "tests/cpp/conn/toy_protocol_test.cpp",
        "OneConnection, HoldsOfABodyWhatMayBeAheadOfItsReaderAndNoByteMore",
    ),
    "body_codings": (CODED, "test_several_codings_are_undone_up_to_their_limit"),
    "body_ratio": (CODED, "test_the_ratio_is_a_limit"),
    "body_ratio_from_bytes": (CODED, "test_the_ratio_is_a_limit"),
    "chunk_line_bytes": (CHUNKS, "ALimit, OfAChunkLineIsNotPassed"),
    "trailer_bytes": (CHUNKS, "ALimit, OfATrailerSectionIsNotPassed"),
    "discard_bytes": (CODEC, "Http1Server, ClosesOverABodyTooLongToDiscard"),
    "header_timeout": (CODEC, "Http1Server, TellsASlowHeadThatTimeIsUp"),
    "body_timeout": (
        "tests/cpp/proto/http1/body_rate_test.cpp",
        "ABodysRate, IsMeasuredOnlyWhileSomebodyWaits",
    ),
    "min_body_rate": (
        "tests/cpp/proto/http1/body_rate_test.cpp",
        "ABodysRate, IsNotKeptByWhoeverSendsOneByteLess",
    ),
    "idle_timeout": (CODEC, "Http1Server, LetsAnIdleConnectionGoQuietly"),
    "write_timeout": (SLOW, "SlowPeer, IsWaitedForAsLongAsTheWriteTimeoutAndNoLonger"),
    "min_response_rate": (SLOW, "SlowPeer, ThatTakesOneByteLessUsesUpTheWriteTimeout"),
    "linger_timeout": (
        SLOW,
        "SlowPeer, IsListenedToAfterARefusalForAsLongAsTheLingerTimeout",
    ),
    "max_connections": (HTTP1, "test_connections_have_a_limit"),
    "max_connections_per_address": (LIMITS, "test_a_clients_address_has_so_many_connections"),
    "max_requests_per_connection": (
        LIMITS,
        "test_a_connection_brings_so_many_requests_and_is_told_with_the_last",
    ),
    "max_connection_age": (
        LIMITS,
        "test_a_connection_that_is_old_is_told_with_its_next_answer",
    ),
    "max_in_flight": (HTTP1, "test_requests_under_way_have_a_limit"),
    "queue_requests": (OVERLOAD, "test_requests_wait_and_start_in_their_order"),
    "queue_timeout": (OVERLOAD, "test_a_request_whose_turn_does_not_come_in_time_is_503"),
    "high_water_bytes": (
        SLOW,
        "SlowPeer, HasItsAnswerHeldBackAtTheMarkAndItsWriterPausedAtTheMark",
    ),
    "handler_stuck": (
        "tests/python/test_watchdog.py",
        "test_a_handler_that_sleeps_is_named_with_its_stack_once",
    ),
    "form.parts": (FORMS, "test_each_limit_holds"),
    "form.part_head_bytes": (
        "tests/cpp/proto/forms/multipart_test.cpp",
        "Multipart, HoldsEachLimit",
    ),
    "form.name_bytes": (FORMS, "test_each_limit_holds"),
    "form.field_bytes": (FORMS, "test_each_limit_holds"),
    "form.memory_bytes": (READER, "FormReader, LimitsWhatAFormHoldsInMemory"),
    "form.spool_bytes": (READER, "FormReader, PutsLargeFilesOneBehindTheOtherOnDisk"),
    "form.disk_bytes": (READER, "FormReader, LimitsWhatAFormWrites"),
    "form.total_bytes": (FORMS, "test_each_limit_holds"),
    "form.pairs": (FORMS, "test_each_limit_holds"),
    "form.urlencoded_bytes": (FORMS, "test_each_limit_holds"),
}

TCP = "tests/cpp/server/stream_server_test.cpp"
UDP = "tests/python/test_udp.py"

OTHERS_TESTED = {
    "patterns.queue.capacity": (
        "tests/cpp/server/server_test.cpp",
        "AServer, AnswersAFullQueueWith503AndRetryAfter",
    ),
    "filters.RateLimit.max_keys": (
        "tests/cpp/server/filters/token_buckets_test.cpp",
        "TokenBuckets, KeepTheirNumberOfKeysAndForgetTheFullest",
    ),
    "TcpServer.max_connections": (TCP, "EveryPatternOfTcp, ClosesTheConnectionBeyondTheLimit"),
    "TcpServer.max_connections_per_address": (
        "tests/python/test_tcp.py",
        "test_a_clients_address_has_so_many_connections",
    ),
    "TcpServer.idle_timeout": (TCP, "EveryPatternOfTcp, ClosesTheIdle"),
    "TcpServer.write_timeout": (TCP, "EveryPatternOfTcp, CutsOffAPeerThatTakesNothingInTime"),
    "TcpServer.high_water_bytes": (
        TCP,
        "EveryPatternOfTcp, HoldsBackAPeerThatReadsNothingAndLosesNoByte",
    ),
    "TcpServer.handler_stuck": (
        "tests/python/test_watchdog.py",
        "test_a_tcp_handler_that_keeps_its_thread_is_named_with_its_peer_once",
    ),
    "framing.lines.max_bytes": (
        TCP,
        "EveryPatternOfTcp, TakesALineAtTheLimitAndEndsTheConnectionOneBeyond",
    ),
    "framing.length_prefixed.max_bytes": (
        "tests/cpp/proto/framing/framing_test.cpp",
        "LengthPrefixed, IsTakenUpToTheLimitAndRefusedOneBeyond",
    ),
    "UdpServer.max_bytes": (UDP, "test_a_datagram_at_the_limit_passes_and_one_beyond_is_dropped"),
    "UdpServer.unsent_datagrams": (
        "tests/cpp/net/datagram_socket_test.cpp",
        "DatagramSocket, WaitsForRoomWithinItsLimitAndDropsTheRest",
    ),
    "UdpServer.max_calls": (UDP, "test_a_call_at_the_limit_passes_and_one_beyond_is_dropped"),
    "UdpServer.handler_stuck": (
        "tests/python/test_watchdog.py",
        "test_a_udp_handler_that_keeps_its_thread_is_named_with_its_peer_once",
    ),
    "udp_connect.unread_datagrams": (
        "tests/python/test_udp_client.py",
        "test_what_waits_is_bounded_and_the_rest_dropped_and_counted",
    ),
}

NAMES = [field.name for field in fields(mr.Limits) if field.name != "form"]
NAMES += [f"form.{field.name}" for field in fields(mr.FormLimits) if field.name != "directory"]


def test_every_limit_has_a_row():
    assert sorted(row.name for row in LIMIT_ROWS) == sorted(NAMES)
    assert [row.name for row in OTHER_LIMIT_ROWS] == list(OTHERS_TESTED)


def test_every_limit_has_a_counter_that_is_counted(serve):
    server = serve(mr.App())
    counted = set(server.stats().loops[0])
    assert {row.counter for row in (*LIMIT_ROWS, *OTHER_LIMIT_ROWS) if row.counter} <= counted


def test_what_shows_their_use_is_in_a_snapshot(serve):
    seen = monitor.snapshot(serve(mr.App()))
    assert {row.use for row in LIMIT_ROWS if row.use} <= seen.keys()
    limits = json.loads(json.dumps(seen["limits"]))
    forms = {f"form.{name}" for name in limits.pop("form")}
    assert limits.keys() | forms == {row.name for row in LIMIT_ROWS} | {"form.directory"}


@pytest.mark.parametrize("name", [*NAMES, *OTHERS_TESTED])
def test_every_limit_has_a_test(name):
    path, test = (TESTED | OTHERS_TESTED)[name]
    text = (ROOT / path).read_text(encoding="utf-8")
    assert f"({test})" in text or f"def {test}(" in text


@pytest.mark.parametrize(
    ("name", "rows"), [("limits", LIMIT_ROWS), ("other limits", OTHER_LIMIT_ROWS)]
)
def test_the_documentation_has_the_table_of_the_code(name, rows):
    text = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {name}: begin -->\n(.*?)<!-- {name}: end -->", text, re.S)
    assert found is not None
    assert found[1] == as_markdown(rows)


def test_security_says_what_each_limit_protects():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert [row.name for row in LIMIT_ROWS if f"`{row.name}`" not in text] == []


def test_doctor_prints_all_of_them(capsys):
    assert cli.main(["doctor", "--limits"]) == 0
    shown = capsys.readouterr().out
    for row in (*LIMIT_ROWS, *OTHER_LIMIT_ROWS):
        assert re.search(rf"^  {row.name} .* {row.counter or '-'} ", shown, re.M)
    assert "32 KiB" in shown


def test_doctor_prints_what_a_server_uses_and_has_counted(serve, tmp_path, capsys):
    path = tmp_path / "top"
    app = mr.App()
    app.metrics("/metrics")
    forms = mr.FormLimits(pairs=5, directory=tmp_path)
    limits = mr.Limits(max_connections_per_address=1, field_count=50, form=forms)
    server = serve(app, monitor=path, limits=limits)
    with Wire(server) as wire:
        assert wire.get("/none").status == 404
        with Wire(server) as refused:
            assert refused.read().status == 503
        assert cli.main(["doctor", "--limits", str(path), "--json"]) == 0
        rows = {row["limit"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["max_connections_per_address"]["times"] == "1"
    assert rows["max_connections_per_address"]["value"] == "1"
    assert rows["max_connections"]["used"] == "1"
    assert rows["field_count"]["value"] == "50"
    assert rows["form.pairs"]["value"] == "5"
    assert rows["form.spool_bytes"]["times"] == "-"
    assert rows["handler_stuck"]["times"] == "0"


def test_doctor_looks_at_a_metrics_route_too(serve, capsys):
    app = mr.App()
    app.metrics("/metrics")
    server = serve(app, limits=mr.Limits(max_requests_per_connection=1))
    assert get(server, "/none").status == 404
    eventually(lambda: server.stats().total("connections_used_up") == 1)
    assert cli.main(["doctor", "--limits", server.url]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"max_requests_per_connection .* 2$", shown, re.M)  # the look is one itself
    assert "values are the defaults" in shown


@pytest.mark.parametrize("target", ["/nowhere", "https://a", "http://127.0.0.1:1"])
def test_doctor_says_where_nobody_tells(target, capsys):
    assert cli.main(["doctor", "--limits", target]) == 1
    assert target in capsys.readouterr().err


def test_doctor_says_that_a_process_has_no_monitor_and_what_helps(serve, capsys):
    serve(mr.App())
    assert cli.main(["doctor", "--limits", str(os.getpid())]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"millrace doctor: {os.getpid()}: ")
    assert str(monitor.default_path(os.getpid())) in said
    assert "start the server with --monitor" in said
    assert "the URL of its metrics route" in said


def test_the_table_knows_no_more_than_it_was_told():
    seen = {"loops": [{}], "connections": 3}
    table = as_table(seen)
    rows = {row[0]: row for row in table.rows}
    assert rows["max_connections"][-2:] == ("3", "?")
    assert rows["max_in_flight"][-2:] == ("?", "?")


def test_options_of_the_engine_are_what_was_asked_for():
    options = _core.ServerOptions()
    mr.Limits(max_in_flight="adaptive").apply(options)
    assert options.adaptive_in_flight
    assert options.max_in_flight == _core.ServerOptions().max_in_flight
    mr.Limits(max_in_flight=5).apply(options)
    assert (options.adaptive_in_flight, options.max_in_flight) == (False, 5)
    with pytest.raises(ValueError, match="max_in_flight"):
        mr.Limits(max_in_flight="much")
