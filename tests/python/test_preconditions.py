"""Conditional requests (RFC 9110 13): each rule a row, then all of them at once, on one file."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import millrace as mr
import pytest

from tests.python.wire import Wire, fetch, get, request

CONTENT = b"0123456789" * 10
MODIFIED = 784111777
EARLIER, SAME, LATER = (f"Sun, 06 Nov 1994 08:49:{second} GMT" for second in (36, 37, 38))
# The obsolete forms of a date, which a recipient must accept (5.6.7).
TO_COME = "Thu, 31 Dec 2099 23:59:59 GMT"
RFC_850, ASCTIME = "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"
OURS = "{tag}"

# The clause, the fields, and the answers to GET and HEAD. The file was modified at SAME.
ROWS = [
    ("13.1.1", {"If-Match": "*"}, 200, 200),
    ("13.1.1", {"If-Match": OURS}, 200, 200),
    ("13.1.1", {"If-Match": f'"x", {OURS}, "y"'}, 200, 200),
    ("13.1.1", {"If-Match": '"x"'}, 412, 412),
    ("13.1.1", {"If-Match": '"x", "y"'}, 412, 412),
    ("13.1.1: strong comparison", {"If-Match": f"W/{OURS}"}, 412, 412),
    ("13.1.1: no tag, so none of ours", {"If-Match": "x"}, 412, 412),
    ("13.1.1, 5.6.1.2: empty members", {"If-Match": f",, {OURS} ,"}, 200, 200),
    ("13.1.1, 8.8.3: a comma is of the tag", {"If-Match": f'"a,b", {OURS}'}, 200, 200),
    ("13.1.1, 8.8.3: W is a capital", {"If-Match": f"w/{OURS}"}, 412, 412),
    ("13.1.2", {"If-None-Match": "*"}, 304, 304),
    ("13.1.2", {"If-None-Match": OURS}, 304, 304),
    ("13.1.2", {"If-None-Match": f'"x", {OURS}'}, 304, 304),
    ("13.1.2", {"If-None-Match": '"x"'}, 200, 200),
    ("13.1.2: weak comparison", {"If-None-Match": f"W/{OURS}"}, 304, 304),
    ("13.1.2: no tag, so none of ours", {"If-None-Match": "x"}, 200, 200),
    ("13.1.3", {"If-Modified-Since": EARLIER}, 200, 200),
    ("13.1.3", {"If-Modified-Since": SAME}, 304, 304),
    ("13.1.3", {"If-Modified-Since": LATER}, 304, 304),
    ("13.1.3: to come", {"If-Modified-Since": TO_COME}, 304, 304),
    ("13.1.3, 5.6.7", {"If-Modified-Since": RFC_850}, 304, 304),
    ("13.1.3, 5.6.7", {"If-Modified-Since": ASCTIME}, 304, 304),
    ("13.1.3: no date is ignored", {"If-Modified-Since": "soon"}, 200, 200),
    ("13.1.3: no date is ignored", {"If-Modified-Since": "0"}, 200, 200),
    ("13.1.3: several are ignored", {"If-Modified-Since": f"{SAME}, {SAME}"}, 200, 200),
    ("13.1.3: but for If-None-Match", {"If-None-Match": '"x"', "If-Modified-Since": SAME},
     200, 200),
    ("13.1.4", {"If-Unmodified-Since": EARLIER}, 412, 412),
    ("13.1.4", {"If-Unmodified-Since": SAME}, 200, 200),
    ("13.1.4", {"If-Unmodified-Since": LATER}, 200, 200),
    ("13.1.4: to come", {"If-Unmodified-Since": TO_COME}, 200, 200),
    ("13.1.4, 5.6.7", {"If-Unmodified-Since": RFC_850.replace(":37", ":36")}, 412, 412),
    ("13.1.4, 5.6.7", {"If-Unmodified-Since": ASCTIME.replace(":37", ":36")}, 412, 412),
    ("13.1.4: no date is ignored", {"If-Unmodified-Since": "never"}, 200, 200),
    ("13.1.4: several are ignored", {"If-Unmodified-Since": f"{EARLIER}, {EARLIER}"}, 200, 200),
    ("13.1.4: but for If-Match", {"If-Match": OURS, "If-Unmodified-Since": EARLIER},
     200, 200),
    ("13.2.2: step 1 before 3", {"If-Match": '"x"', "If-None-Match": OURS}, 412, 412),
    ("13.2.2: step 1, then 3", {"If-Match": OURS, "If-None-Match": OURS}, 304, 304),
    ("13.2.2: step 2 before 3", {"If-Unmodified-Since": EARLIER, "If-None-Match": OURS},
     412, 412),
    ("13.2.2: step 2, then 4", {"If-Unmodified-Since": SAME, "If-Modified-Since": SAME},
     304, 304),
    ("13.2.2: step 3 before 4", {"If-None-Match": OURS, "If-Modified-Since": EARLIER},
     304, 304),
    ("13.2.2: step 1 before 5", {"If-Match": '"x"', "Range": "bytes=0-1"}, 412, 412),
    ("13.2.2: step 3 before 5", {"If-None-Match": OURS, "Range": "bytes=0-1"}, 304, 304),
    ("13.2.2: step 3 before 416", {"If-None-Match": OURS, "Range": "bytes=900-"}, 304, 304),
    ("13.2.2: step 5", {"Range": "bytes=0-1", "If-Range": OURS}, 206, 200),
    ("13.2.2: step 5, all hold", {"If-Match": OURS, "If-None-Match": '"x"',
     "Range": "bytes=0-1", "If-Range": OURS}, 206, 200),
    ("13.1.5", {"Range": "bytes=0-1", "If-Range": '"x"'}, 200, 200),
    ("13.1.5: strong comparison", {"Range": "bytes=0-1", "If-Range": f"W/{OURS}"}, 200, 200),
    ("13.1.5: an exact match", {"Range": "bytes=0-1", "If-Range": SAME}, 206, 200),
    ("13.1.5: an exact match", {"Range": "bytes=0-1", "If-Range": EARLIER}, 200, 200),
    ("13.1.5: an exact match", {"Range": "bytes=0-1", "If-Range": LATER}, 200, 200),
    ("13.1.5, 5.6.7", {"Range": "bytes=0-1", "If-Range": RFC_850}, 206, 200),
    ("13.1.5: one validator", {"Range": "bytes=0-1", "If-Range": f'{OURS}, "x"'}, 200, 200),
    ("13.1.5: nor a star", {"Range": "bytes=0-1", "If-Range": "*"}, 200, 200),
    ("13.1.5: before 416", {"Range": "bytes=900-", "If-Range": '"x"'}, 200, 200),
    ("13.1.5: 416 if it holds", {"Range": "bytes=900-", "If-Range": OURS}, 416, 200),
    ("13.1.5: ignored without Range", {"If-Range": '"x"'}, 200, 200),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(CONTENT)
    os.utime(tmp_path / "file", (MODIFIED, MODIFIED))
    return tmp_path


@pytest.fixture
def app(folder: Path) -> mr.App:
    """One file, served natively, by a handler, and with a weak tag of the handler's own."""
    app, path = mr.App(), folder / "file"
    app.static("/static", folder)
    methods = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"]
    app.route("/handler", methods=methods)(lambda request: mr.FileResponse(path))
    weak = {"etag": 'W/"weak"'}
    app.route("/weak", methods=methods)(lambda request: mr.FileResponse(path, headers=weak))
    return app


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_rules(serve, app, row):
    _, fields, *statuses = row
    with Wire(serve(app)) as wire:
        for path in ("/static/file", "/handler"):
            tag = wire.get(path).header("etag")
            assert re.fullmatch(r'"[0-9a-f]+-[0-9a-f]+-[0-9a-f]+"', tag)
            ours = {name: value.format(tag=tag) for name, value in fields.items()}
            for method, status in zip(("GET", "HEAD"), statuses, strict=True):
                answer = wire.ask(method, path, ours)
                assert answer.status == status, (path, method)
                if status in (304, 412):
                    assert answer.body == b""
                    assert answer.header("content-type") is None
                if status == 304:  # 15.4.5
                    assert answer.header("etag") == tag
                    assert answer.header("content-length") is None


# --- all at once ----------------------------------------------------------------------------------

# Of each field: not there, and the ways in which it can hold or fail.
TAGS = [None, "ours", "weakly ours", "another", "*"]
DATES = [None, EARLIER, SAME, LATER, "no date"]
RANGES = [(None, None), (None, "another")] + [
    (field, validator)
    for field in ("bytes=0-1", "bytes=900-", "bytes=1-0", "lines=0-1")
    for validator in (None, "ours", "weakly ours", "another", EARLIER, SAME, LATER)
]


def expected(method, has_weak_tag, tags, dates, range_, validator):
    """Return what the steps of RFC 9110 13.2.2 come to, taken one by one."""
    (if_match, if_none_match), (unmodified_since, modified_since) = tags, dates
    is_ours = {"ours", "weakly ours", "*"}
    # 13.1.1 compares strongly: two tags that are equal, and neither weak.
    is_strongly_ours = {"*"} if has_weak_tag else {"*", "ours"}
    if if_match is not None:  # 1
        if if_match not in is_strongly_ours:
            return 412
    elif unmodified_since == EARLIER:  # 2
        return 412
    if if_none_match is not None:  # 3
        if if_none_match in is_ours:
            return 304
    elif modified_since in (SAME, LATER):  # 4
        return 304
    if method == "GET" and range_ is not None:  # 5
        does_hold = validator in (None, SAME) or (validator == "ours" and not has_weak_tag)
        if does_hold and range_ == "bytes=0-1":
            return 206
        if does_hold and range_ == "bytes=900-":
            return 416
    return 200  # 6


def tag_text(what, tag):
    opaque = tag.removeprefix("W/")
    return {"ours": tag, "weakly ours": "W/" + opaque, "another": '"x"'}.get(what, what)


def combinations():
    """Yield every combination of conditions without Range; with Range, every single one."""
    conditions = list(itertools.product(TAGS, TAGS, DATES, DATES))
    yield from (((a, b), (c, d), None, None) for a, b, c, d in conditions)
    single = [row for row in conditions if sum(value is not None for value in row) < 2]
    for (a, b, c, d), (range_, validator) in itertools.product(single, RANGES):
        yield (a, b), (c, d), range_, validator


@pytest.mark.parametrize("path", ["/static/file", "/handler", "/weak"])
def test_every_combination_comes_to_what_the_steps_say(serve, app, path):
    methods, count = ["GET", "HEAD"], 0
    with Wire(serve(app)) as wire:
        tag = wire.get(path).header("etag")
        for tags, dates, range_, validator in combinations():
            names = ["If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since",
                     "Range", "If-Range"]  # fmt: skip
            values = [*(tag_text(what, tag) for what in tags), *dates, range_,
                      tag_text(validator, tag)]  # fmt: skip
            fields = {n: v for n, v in zip(names, values, strict=True) if v is not None}
            wire.send(b"".join(request(method, path, fields) for method in methods))
            for method in methods:
                status = expected(method, path == "/weak", tags, dates, range_, validator)
                assert wire.read(to=method).status == status, (method, fields)
                count += 1
    assert count == len(methods) * (625 + 17 * 30)


# --- what is not conditional ----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_the_handler_of_another_method_asks_itself(serve, app, method):
    """RFC 9110 13.2.1: before the action, and when it has an answer it has acted."""
    server = serve(app)
    conditions = {"If-Match": '"x"', "If-Unmodified-Since": EARLIER, "If-None-Match": "*",
                  "If-Modified-Since": LATER, "Range": "bytes=0-1"}  # fmt: skip
    for fields in ({name: value} for name, value in conditions.items()):
        answer = fetch(server, method, "/handler", fields)
        assert (answer.status, answer.body) == (200, CONTENT), fields


def test_an_answer_that_is_no_success_ignores_conditions(serve, app, folder):
    """RFC 9110 13.2.1: where the answer without them would be neither 2xx nor 412."""
    app.get("/gone")(lambda request: mr.FileResponse(folder / "file", status=404))
    server = serve(app)
    for fields in ({"If-Match": '"x"'}, {"If-Match": "*"}, {"If-None-Match": "*"},
                   {"If-Unmodified-Since": EARLIER}, {"If-Modified-Since": LATER}):  # fmt: skip
        assert get(server, "/gone", fields).status == 404
        assert get(server, "/static/missing", fields).status == 404
        assert fetch(server, "POST", "/static/file", fields).status == 405


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
def test_a_list_of_tags_may_stand_on_several_lines(serve, app, name):
    """RFC 9110 5.3, 13.1.1, 13.1.2."""
    server = serve(app)
    tag = get(server, "/handler").header("etag")
    answer = fetch(server, "GET", "/handler", [(name, '"x"'), (name, tag)])
    assert answer.status == (200 if name == "If-Match" else 304)


def test_a_304_has_what_a_cache_needs(serve, app, folder):
    """RFC 9110 15.4.5: the fields that a 200 would have had and that guide a cache."""
    said = {"cache-control": "max-age=9", "content-location": "/x", "vary": "Accept",
            "expires": LATER, "etag": '"own"'}  # fmt: skip
    app.get("/kept")(lambda request: mr.FileResponse(folder / "file", headers=said))
    answer = get(serve(app), "/kept", {"If-None-Match": '"own"'})
    assert answer.status == 304
    assert {name: answer.header(name) for name in said} == said
    assert answer.header("date")
