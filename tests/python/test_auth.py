"""Middleware that wants credentials."""

from __future__ import annotations

import base64

import millrace as mr
import pytest
from millrace.filters import Credentials, basic_auth, bearer_auth, same_secret

from tests.python.wire import Wire


def basic(text: str | bytes) -> dict[str, str]:
    raw = text if isinstance(text, bytes) else text.encode()
    return {"Authorization": "Basic " + base64.b64encode(raw).decode()}


def check_plain(name, password):
    return name == "ada" and same_secret(password, "päss:word")


async def check_awaited(name, password):
    return {"name": name} if check_plain(name, password) else None


def app_with(middleware) -> mr.App:
    app = mr.App()
    app.middleware(middleware)
    app.get("/plain")(lambda request: {"user": request.state.user})

    @app.get("/coroutine")
    async def coroutine(request):
        return {"user": request.state.user}

    return app


@pytest.mark.parametrize("path", ["/plain", "/coroutine"])
@pytest.mark.parametrize(
    ("check", "user"), [(check_plain, "ada"), (check_awaited, {"name": "ada"})]
)
def test_basic_lets_those_in_that_the_check_knows(serve, pattern, path, check, user):
    app = app_with(basic_auth(check, realm='the "room"'))
    with Wire(serve(app, pattern=pattern)) as wire:
        assert wire.get(path, basic("ada:päss:word")).json() == {"user": user}
        refused = wire.get(path, basic("ada:wrong"))
        assert refused.status == 401
        challenge = r'Basic realm="the \"room\"", charset="UTF-8"'
        assert refused.header("www-authenticate") == challenge
        assert wire.get(path).header("www-authenticate") == challenge


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic YQ"},  # no padding
        {"Authorization": "Basicx YWRhOng="},
        {"Authorization": "Bearer YWRhOng="},
        basic("no colon"),
        basic("ada:a\nb"),
        basic(b"ada:\xff"),
    ],
    ids=repr,
)
def test_what_is_no_basic_credentials_is_401_and_not_checked(serve, fields):
    checked = []
    app = app_with(basic_auth(lambda name, password: checked.append(name) or True))
    with Wire(serve(app)) as wire:
        answer = wire.get("/plain", fields)
        assert answer.status == 401
        assert answer.header("www-authenticate").startswith("Basic ")
        assert wire.get("/plain", basic(":")).json() == {"user": ""}
    assert checked == [""]


USERS = {"t0ken-._~+/==": "ada"}


async def user_of(token):
    return USERS.get(token)


@pytest.mark.parametrize("check", [USERS.get, user_of])
def test_bearer_says_what_is_wrong_with_a_token(serve, pattern, check):
    cases = {
        "bearer t0ken-._~+/==": (200, None),
        "Bearer other": (401, 'Bearer realm="api", error="invalid_token"'),
        "Bearer two words": (400, 'Bearer realm="api", error="invalid_request"'),
        "Bearer": (400, 'Bearer realm="api", error="invalid_request"'),
        "Basic YTpi": (401, 'Bearer realm="api"'),
    }
    with Wire(serve(app_with(bearer_auth(check, realm="api")), pattern=pattern)) as wire:
        for value, expected in cases.items():
            answer = wire.get("/plain", {"Authorization": value})
            assert (answer.status, answer.header("www-authenticate")) == expected, value
        assert wire.get("/plain").header("www-authenticate") == 'Bearer realm="api"'


def test_two_authorization_fields_are_malformed(serve):
    fields = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    with Wire(serve(app_with(bearer_auth(lambda token: True)))) as wire:
        assert wire.ask("GET", "/plain", fields).status == 400


def test_a_check_that_fails_is_no_way_in(serve):
    def broken(token):
        raise LookupError("no database")

    with Wire(serve(app_with(bearer_auth(broken)))) as wire:
        assert wire.get("/plain", {"Authorization": "Bearer a"}).status == 500


def test_mistakes_are_named():
    with pytest.raises(TypeError, match="password"):
        basic_auth(lambda name: True)
    with pytest.raises(ValueError, match="realm"):
        bearer_auth(lambda token: True, realm="a\nb")


def with_constant(app: mr.App, folder, **public) -> str:
    app.respond("/open", "open", **public)
    return "/open"


def with_files(app: mr.App, folder, **public) -> str:
    (folder / "a.txt").write_text("open")
    app.static("/open", folder, **public)
    return "/open/a.txt"


def with_files_at_the_root(app: mr.App, folder, **public) -> str:
    with_files(mr.App(), folder)
    app.static("/", folder, **public)
    return "/a.txt"


def with_metrics(app: mr.App, folder, **public) -> str:
    app.metrics("/open", **public)
    return "/open"


NATIVE = [with_constant, with_files, with_files_at_the_root, with_metrics]


@pytest.mark.parametrize("auth", [basic_auth(check_awaited), bearer_auth(USERS.get)])
@pytest.mark.parametrize("add", NATIVE)
def test_routes_that_no_check_can_guard_keep_a_server_from_starting(pattern, add, auth, tmp_path):
    app = app_with(auth)
    add(app, tmp_path)
    server = mr.Server(app, pattern=pattern)
    with pytest.raises(ValueError, match=r"GET /\S*, answered without Python: say public=True"):
        server.start()
    assert not server.is_running


@pytest.mark.parametrize("add", NATIVE)
def test_those_that_are_public_are_served_to_everybody_and_the_others_are_not(
    serve, pattern, add, tmp_path
):
    app = app_with(basic_auth(check_plain))
    path = add(app, tmp_path, public=True)
    with Wire(serve(app, pattern=pattern)) as wire:
        assert wire.get(path).status == 200
        for guarded in ("/plain", "/coroutine"):
            assert wire.get(guarded).status == 401
            assert wire.get(guarded, basic("ada:päss:word")).status == 200


def test_only_what_lies_inside_the_app_with_the_check_is_named(tmp_path):
    inner, outer = app_with(basic_auth(check_plain)), mr.App()
    outer.respond("/outside", "open")
    outer.include("/inner", inner)
    with mr.Server(outer) as server, Wire(server) as wire:
        assert wire.get("/outside").status == 200
        assert wire.get("/inner/plain").status == 401
    with_constant(inner, tmp_path)
    with pytest.raises(ValueError, match="cannot guard GET /inner/open, answered"):
        mr.Server(outer).start()
    outer.middleware(bearer_auth(USERS.get))
    with pytest.raises(ValueError, match="guard GET /outside, GET /inner/open, answered"):
        mr.Server(outer).start()


@pytest.mark.parametrize("path", ["/plain", "/nowhere"])
def test_a_path_or_method_without_a_route_says_nothing_of_what_is_guarded(serve, pattern, path):
    with Wire(serve(app_with(basic_auth(check_plain)), pattern=pattern)) as wire:
        answer = wire.ask("DELETE", path)
        assert answer.status == (405 if path == "/plain" else 404)
        assert answer.text in ("Method Not Allowed", "Not Found")


@pytest.mark.parametrize("add", NATIVE)
def test_those_that_the_native_filter_guards_are_no_mistake(serve, pattern, add, tmp_path):
    app = app_with(basic_auth(check_plain))
    path = add(app, tmp_path)
    app.filter(Credentials(users={"ada": "päss:word"}))
    with Wire(serve(app, pattern=pattern)) as wire:
        for guarded in (path, "/plain", "/coroutine", "/nowhere"):
            assert wire.get(guarded).status == 401
            status = 404 if guarded == "/nowhere" else 200
            assert wire.get(guarded, basic("ada:päss:word")).status == status


def test_the_native_filter_guards_what_lies_below_its_prefix_only():
    inner, outer = app_with(basic_auth(check_plain)), mr.App()
    for path in ("/a", "/a/b", "/ab", "/{name}"):
        inner.respond(path, "open")
    inner.filter(Credentials(tokens=["t0ken"]), prefix="/a")
    outer.include("/in", inner)
    with pytest.raises(ValueError, match=r"guard GET /in/ab, GET /in/\{name\}, answered"):
        mr.Server(outer).start()
