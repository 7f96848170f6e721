"""Each native filter, as an app registers it; what it says byte by byte is tested in C++."""

from __future__ import annotations

import dataclasses
import json
import socket

import millrace as mr
import pytest
from millrace import filters

from tests.python.wire import Wire, chunked, eventually, get

JSON_LINES = ["/plain", "/coroutine", "/native", "/missing"]


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.respond("/native", "native")

    @app.get("/plain")
    def plain(request):
        return {"client": request.client, "scheme": request.scheme}

    @app.get("/coroutine")
    async def coroutine(request):
        return {"client": request.client, "scheme": request.scheme}

    @app.post("/whole")
    def whole(request):
        return str(len(request.body))

    @app.post("/read")
    async def read(request):
        return str(len(await request.read()))

    @app.post("/stream")
    async def stream(request):
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return str(size)

    return app


def test_cors_answers_preflights_and_names_origins(app, serve, pattern):
    app.filter(filters.CORS(allow_origins=["https://a.example"], allow_methods=["PUT"]))
    origin = {"Origin": "https://a.example"}
    with Wire(serve(app, pattern=pattern)) as wire:
        for path in JSON_LINES:
            asked = wire.ask("OPTIONS", path, {**origin, "Access-Control-Request-Method": "PUT"})
            assert asked.status == 204, path
            assert asked.header("access-control-allow-methods") == "PUT"
            answer = wire.get(path, origin)
            assert answer.header("access-control-allow-origin") == "https://a.example", path
            assert answer.header("vary") == "Origin", path
            assert wire.get(path).header("access-control-allow-origin") is None, path


def test_trusted_hosts_refuse_the_others(app, serve, pattern):
    app.filter(filters.TrustedHosts(["test", "*.Example.com"]))
    server = serve(app, pattern=pattern)
    with Wire(server) as wire:
        for path in ("/plain", "/native"):
            assert wire.get(path, {"Host": "a.example.com:1"}).status == 200, path
            assert wire.get(path, {"Host": "evil.example"}).status == 421, path
    assert eventually(lambda: server.stats().total("requests_denied") == 2)


def test_https_redirect_goes_by_what_a_trusted_proxy_says(app, serve, pattern):
    app.filter(filters.ProxyHeaders())
    app.filter(filters.HTTPSRedirect())
    app.filter(filters.SecurityHeaders(transport_security="1d"))
    with Wire(serve(app, pattern=pattern)) as wire:
        redirected = wire.get("/plain?a=b")
        assert redirected.status == 308
        assert redirected.header("location") == "https://test/plain?a=b"
        served = wire.get("/plain", {"X-Forwarded-Proto": "https"})
        assert served.json()["scheme"] == "https"
        assert served.header("strict-transport-security") == "max-age=86400"


@pytest.mark.parametrize("path", ["/plain", "/coroutine"])
def test_the_client_behind_a_trusted_proxy_is_the_requests(app, serve, pattern, path, tmp_path):
    app.filter(filters.ProxyHeaders(trusted=["127.0.0.0/8", "10.0.0.0/8"]))
    log = mr.AccessLog(tmp_path / "log", "%h")
    with Wire(serve(app, pattern=pattern, access_log=log)) as wire:
        fields = {"X-Forwarded-For": "1.2.3.4, 203.0.113.9:81, 10.0.0.7"}
        assert wire.get(path, fields).json() == {"client": ["203.0.113.9", 81], "scheme": "http"}
        assert wire.get(path).json()["client"][0] == "127.0.0.1"
        eventually(lambda: (tmp_path / "log").read_text().split() == ["203.0.113.9", "127.0.0.1"])


def test_a_client_that_is_no_trusted_proxy_is_not_believed(app, serve, pattern):
    app.filter(filters.ProxyHeaders(trusted=["10.0.0.0/8", "unix"]))
    with Wire(serve(app, pattern=pattern)) as wire:
        fields = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
        told = wire.get("/plain", fields).json()
        assert (told["client"][0], told["scheme"]) == ("127.0.0.1", "http")


def test_a_proxy_on_a_unix_socket_can_be_trusted(app, serve, tmp_path):
    app.filter(filters.ProxyHeaders(trusted=["unix"], fields="forwarded"))
    path = tmp_path / "socket"
    with mr.Server(app, bind=f"unix:{path}"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(
            b'GET /plain HTTP/1.0\r\nHost: a\r\nForwarded: for="[2001:db8::7]";proto=https\r\n\r\n'
        )
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    told = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert told == {"client": ["2001:db8::7", 0], "scheme": "https"}


def test_a_request_kept_after_its_answer_still_knows_its_client(serve):
    kept = []
    app = mr.App()
    app.filter(filters.ProxyHeaders())
    app.get("/")(lambda request: kept.append(request) or "")
    server = serve(app)
    assert get(server, "/", {"X-Forwarded-For": "::1", "X-Forwarded-Proto": "https"}).status == 200
    assert (kept[0].client, kept[0].scheme) == (("::1", 0), "https")


def test_a_request_has_one_id_everywhere(serve, pattern, tmp_path):
    app = mr.App()
    app.filter(filters.RequestId())
    app.get("/")(lambda request: request.headers.get_list("x-request-id"))
    log = mr.AccessLog(tmp_path / "log", "%{x-request-id}i")
    with Wire(serve(app, pattern=pattern, access_log=log)) as wire:
        answers = [wire.get("/", {"X-Request-ID": "theirs"}) for _ in range(3)]
        ids = [answer.header("x-request-id") for answer in answers]
        assert [answer.json() for answer in answers] == [[id] for id in ids]
        assert len(set(ids)) == 3
        assert "theirs" not in ids
        eventually(lambda: (tmp_path / "log").read_text().split() == ids)


@pytest.mark.parametrize("path", ["/whole", "/read", "/stream"])
def test_a_body_above_its_limit_is_refused(app, serve, pattern, path):
    app.filter(filters.BodyLimit(10))
    server = serve(app, pattern=pattern)
    for body, status in ((b"x" * 10, 200), (b"x" * 11, 413)):
        with Wire(server) as wire:
            assert wire.ask("POST", path, body=body).status == status
        with Wire(server) as wire:
            fields = {"Transfer-Encoding": "chunked"}
            assert wire.ask("POST", path, fields, chunked(body)).status == status
        with Wire(server) as wire:
            pieces = chunked(body[:6], body[6:])
            assert wire.ask("POST", path, fields, pieces).status == status
    assert eventually(lambda: server.stats().total("bodies_too_large") == 3)


@pytest.mark.parametrize("path", ["/whole", "/read", "/stream"])
def test_a_length_above_the_limit_is_refused_before_the_body_is_sent(app, serve, path):
    app.filter(filters.BodyLimit("10B"))
    with Wire(serve(app)) as wire:
        fields = {"Content-Length": "11", "Expect": "100-continue"}
        assert wire.ask("POST", path, fields).status == 413
    with Wire(serve(app)) as wire:
        fields = {"Content-Length": "10", "Expect": "100-continue"}
        assert wire.ask("POST", path, fields).status == 100
        wire.send(b"x" * 10)
        assert wire.read().text == "10"


@pytest.mark.parametrize("path", ["/whole", "/read", "/stream"])
def test_a_prefix_may_allow_more_than_all_and_than_the_server(app, serve, path):
    app.filter(filters.BodyLimit(10))
    app.filter(filters.BodyLimit("200kB"), prefix=path)
    server = serve(app, limits=mr.Limits(body_bytes="100kB"))
    with Wire(server) as wire:
        assert wire.ask("POST", path, body=b"x" * 150_000).text == "150000"


def test_a_streaming_handler_can_answer_for_a_body_too_large(serve):
    app = mr.App()
    app.filter(filters.BodyLimit(10))

    @app.post("/")
    async def upload(request):
        try:
            await request.read()
        except mr.errors.MessageTooLarge as error:
            return mr.Response(str(error), status=422)

    with Wire(serve(app)) as wire:
        answer = wire.ask("POST", "/", {"Transfer-Encoding": "chunked"}, chunked(b"x" * 11))
    assert answer.status == 422
    assert "10 bytes" in answer.text


def test_a_client_above_its_rate_is_refused(app, serve, pattern):
    app.filter(filters.RateLimit(rate=0.001, burst=3, fields=True))
    server = serve(app, pattern=pattern)
    with Wire(server) as wire:  # one connection: one worker process, and so one table
        answers = [wire.get(path) for path in ("/plain", "/native", "/coroutine", "/plain")]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert answers[0].header("ratelimit") == '"default";r=2;t=1000'
        assert 0 < int(answers[3].header("retry-after")) <= 1000
    assert eventually(lambda: server.stats().total("requests_limited") == 1)


@pytest.mark.parametrize("path", ["/native", "/whole-body", "/coroutine"])
def test_a_tag_saves_the_body(serve, pattern, path):
    app = mr.App()
    app.filter(filters.ETag())
    app.respond("/native", "body")
    app.get("/whole-body")(lambda request: "body")

    @app.get("/coroutine")
    async def coroutine(request):
        return "body"

    with Wire(serve(app, pattern=pattern)) as wire:
        tag = wire.get(path).header("etag")
        assert tag == '"c0da5a4932fdf4db-4"'
        again = wire.get(path, {"If-None-Match": tag})
        assert (again.status, again.body) == (304, b"")
        assert again.header("content-type") is None
        assert wire.ask("HEAD", path).header("etag") == tag
        assert wire.get(path, {"If-None-Match": '"other"'}).text == "body"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: filters.CORS(allow_origins=["*"], allow_credentials=True), "name the origins"),
        (lambda: filters.CORS(allow_origins=["https://a.example/"]), "allow_origins"),
        (lambda: filters.CORS(allow_origins=["a.example"]), "allow_origins"),
        (lambda: filters.CORS(allow_origins=["*", "https://a.example"]), "leave the others out"),
        (lambda: filters.CORS(allow_origins="https://a.example"), "write a list"),
        (lambda: filters.CORS(allow_origins=["*"], allow_headers=["a b"]), "allow_headers"),
        (lambda: filters.CORS(allow_origins=["*"], max_age="soon"), "duration"),
        (lambda: filters.TrustedHosts([]), "at least one"),
        (lambda: filters.TrustedHosts(["a.example:80"]), "without scheme and port"),
        (lambda: filters.TrustedHosts(["a.*.example"]), "without scheme and port"),
        (lambda: filters.HTTPSRedirect(status=301), "status"),
        (lambda: filters.HTTPSRedirect(port=0), "port"),
        (lambda: filters.ProxyHeaders(trusted=["10.0.0.1/8"]), "trusted"),
        (lambda: filters.ProxyHeaders(trusted="127.0.0.1"), "write a list"),
        (lambda: filters.ProxyHeaders(fields="both"), "fields"),
        (lambda: filters.RequestId(header="a b"), "header"),
        (lambda: filters.BodyLimit("lots"), "size"),
        (lambda: filters.RateLimit(rate=0, burst=1), "rate"),
        (lambda: filters.RateLimit(rate=1, burst=0), "burst"),
        (lambda: filters.RateLimit(rate=1e-9, burst=10), "year"),
        (lambda: filters.RateLimit(rate=1, burst=1, key="x-api-key"), "key"),
        (lambda: filters.RateLimit(rate=1, burst=1, max_keys=0), "max_keys"),
        (lambda: filters.ETag(max_bytes="-1B"), "size"),
    ],
)  # fmt: skip
def test_mistakes_are_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_filters_are_values():
    one = filters.RateLimit(rate=1, burst=2)
    assert one == filters.RateLimit(rate=1, burst=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.burst = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("credentials", "right", "wrong", "challenge", "again"),
    [
        (
            filters.Credentials(users={"bob": "x", "ada": "päss:word"}, realm="a"),
            "Basic YWRhOnDDpHNzOndvcmQ=",  # ada:päss:word in UTF-8
            "Basic YWRhOng=",  # ada:x
            'Basic realm="a", charset="UTF-8"',
            'Basic realm="a", charset="UTF-8"',
        ),
        (
            filters.Credentials(tokens=["t0ken", "other"]),
            "Bearer t0ken",
            "Bearer t0kem",
            'Bearer realm="private"',
            'Bearer realm="private", error="invalid_token"',
        ),
    ],
    ids=["basic", "bearer"],
)
def test_only_those_with_credentials_come_in(
    app, serve, pattern, tmp_path, credentials, right, wrong, challenge, again
):
    (tmp_path / "a.txt").write_text("file")
    app.static("/files", tmp_path)
    app.metrics("/metrics")
    app.filter(credentials)
    paths = {"/plain": 200, "/coroutine": 200, "/native": 200, "/files/a.txt": 200,
             "/files/none": 404, "/metrics": 200, "/missing": 404, "/whole": 405}  # fmt: skip
    server = serve(app, pattern=pattern)
    with Wire(server) as wire:
        for path, status in paths.items():
            assert wire.get(path, {"Authorization": right}).status == status, path
            refused = wire.get(path, {"Authorization": wrong})
            assert (refused.status, refused.header("www-authenticate")) == (401, again), path
            refused = wire.get(path)
            assert (refused.status, refused.header("www-authenticate")) == (401, challenge), path
    assert eventually(lambda: server.stats().total("requests_denied") == 2 * len(paths))


def test_credentials_below_a_prefix_leave_the_rest_open(app, serve):
    app.filter(filters.Credentials(tokens=["t0ken"]), prefix="/plain")
    with Wire(serve(app)) as wire:
        for path in ("/plain", "/%70lain", "//plain/../plain", "/plain/"):
            assert wire.get(path).status != 200, path
        assert wire.get("/plain").status == 401
        assert wire.get("/native").status == 200


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "users or tokens"),
        ({"users": {"a": "b"}, "tokens": ["c"]}, "users or tokens"),
        ({"users": {"a:b": "c"}}, "'a:b'"),
        ({"users": {"a": "b\n"}}, "control"),
        ({"tokens": "t0ken"}, "write a list"),
        ({"tokens": ["two words"]}, "letters, digits"),
        ({"tokens": [""]}, "is empty"),
        ({"tokens": ["a"], "realm": "a\nb"}, "realm"),
    ],
)
def test_credentials_that_nobody_could_send_are_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        filters.Credentials(**settings)


def test_credentials_are_not_shown():
    assert "secret" not in repr(filters.Credentials(users={"ada": "secret"}))
    assert "secret" not in repr(filters.Credentials(tokens=["secret"]))
