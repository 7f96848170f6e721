"""Cookies, both ways: read as servers read them, set as RFC 6265bis wants it."""

from __future__ import annotations

import http.cookiejar
import urllib.request
from datetime import datetime, timedelta, timezone

import httpx
import millrace as mr
import pytest
from hypothesis import given
from hypothesis import strategies as st
from millrace.cookies import cookie_field

from tests.python.wire import get


@pytest.fixture
def app() -> mr.App:
    app = mr.App()

    @app.get("/plain")
    def plain(request):
        return {"all": request.cookies.multi_items(), "a": request.cookies.get("a")}

    @app.get("/coroutine")
    async def coroutine(request):
        return {"all": request.cookies.multi_items(), "a": request.cookies.get("a")}

    @app.get("/set")
    def set_cookies(request):
        response = mr.Response("set")
        response.set_cookie("theme", "dark", max_age=60)
        response.set_cookie("__Host-id", "7", secure=True, same_site="strict")
        response.delete_cookie("old", path="/app")
        return response

    return app


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_cookies_are_read(serve, app, pattern, kind):
    server = serve(app, pattern=pattern)
    answer = get(server, f"/{kind}", {"Cookie": 'a=1; b="x y"; a=2; none; =x; c=\xc3\xbc'}).json()
    assert answer == {"all": [["a", "1"], ["b", "x y"], ["a", "2"], ["c", "ü"]], "a": "1"}
    assert get(server, f"/{kind}").json() == {"all": [], "a": None}


def test_more_cookies_than_the_limit_are_431(serve, app):
    server = serve(app)
    assert len(get(server, "/plain", {"Cookie": "a=1; " * 256}).json()["all"]) == 256
    assert get(server, "/plain", {"Cookie": "a=1; " * 257}).status == 431


def test_each_cookie_is_set_in_a_line_of_its_own(serve, app, pattern):
    answer = get(serve(app, pattern=pattern), "/set")
    assert answer.all("set-cookie") == [
        "theme=dark; Max-Age=60; Path=/; HttpOnly; SameSite=Lax",
        "__Host-id=7; Path=/; Secure; HttpOnly; SameSite=Strict",
        "old=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/app; HttpOnly; SameSite=Lax",
    ]


def test_clients_keep_what_was_set_and_send_it_back(serve, app):
    server = serve(app)
    with httpx.Client(base_url=server.url) as client:
        client.get("/set")
        assert client.get("/plain").json()["all"] == [["theme", "dark"]]
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    opener.open(server.url + "/set").close()
    assert {cookie.name for cookie in jar} == {"theme", "__Host-id"}


def test_every_attribute_is_written():
    when = datetime(2027, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert cookie_field(
        "a", "1", max_age=timedelta(hours=1), expires=when, path=None, domain="example.com",
        secure=True, http_only=False, same_site="none", partitioned=True,
    ) == (
        "a=1; Max-Age=3600; Expires=Sat, 02 Jan 2027 03:04:05 GMT; Domain=example.com; Secure; "
        "SameSite=None; Partitioned"
    )  # fmt: skip
    assert cookie_field("a", "", path=None, http_only=False, same_site=None) == "a="


@pytest.mark.parametrize(
    ("name", "value", "options", "said"),
    [
        ("", "1", {}, "a name consists of"),
        ("a b", "1", {}, "a name consists of"),
        ("a=b", "1", {}, "a name consists of"),
        ("ü", "1", {}, "a name consists of"),
        ("a", "1;2", {}, "urllib.parse.quote"),
        ("a", "ü", {}, "urllib.parse.quote"),
        ("a", "1\r\nX: 1", {}, "urllib.parse.quote"),
        ("a", "x" * 4096, {}, "longer than 4096 bytes"),
        ("a", "1", {"path": "app"}, "path='app'"),
        ("a", "1", {"path": "/a;b"}, "path='/a;b'"),
        ("a", "1", {"path": "/" + "x" * 1024}, "path="),
        ("a", "1", {"domain": "a b"}, "domain='a b'"),
        ("a", "1", {"domain": ""}, "domain=''"),
        ("a", "1", {"same_site": "none"}, "secure=True"),
        ("a", "1", {"same_site": "Lax"}, "same_site='Lax'"),
        ("a", "1", {"partitioned": True}, "secure=True"),
        ("a", "1", {"expires": datetime(2027, 1, 1)}, "no time zone"),
        ("__Secure-a", "1", {}, "wants secure=True"),
        ("__host-a", "1", {"path": "/"}, "wants secure=True"),
        ("__Host-a", "1", {"secure": True, "path": "/app"}, "wants path='/'"),
        ("__Host-a", "1", {"secure": True, "path": None}, "wants path='/'"),
        ("__Host-a", "1", {"secure": True, "domain": "example.com"}, "wants no domain"),
    ],
)
def test_what_browsers_would_drop_is_refused(name, value, options, said):
    with pytest.raises(ValueError, match=said):
        mr.Response().set_cookie(name, value, **options)
    assert len(cookie_field("a", "x" * 4095)) > 4095  # at the limit


COOKIE_VALUES = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='",;\\'), max_size=50
)
NAMES = st.text("!#$%&'*+-.^_`|~" + "abcXYZ019", min_size=1, max_size=20).filter(
    lambda name: not name.lower().startswith(("__host-", "__secure-"))
)


@given(NAMES, COOKIE_VALUES)
def test_what_is_set_has_one_line_and_the_pair_first(name, value):
    field = cookie_field(name, value)
    assert field.isprintable()
    assert field.split("; ")[0] == f"{name}={value}"
    assert field.count(";") == 3
