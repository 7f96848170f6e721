"""Real clients: curl, httpx, and wrk as a short soak under every pattern, checked by content."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import millrace as mr
import pytest

from tests.python.wire import eventually

BODY = bytes(range(256)) * 2000


@pytest.fixture
def app() -> mr.App:
    app = mr.App()
    app.respond("/native", "native", headers={"x-native": "1"})
    app.get("/body")(lambda request: BODY)
    app.get("/users/{name}")(lambda request: {"name": request.path_params["name"]})
    app.post("/echo")(lambda request: request.body)

    @app.post("/digest")
    async def digest(request):
        sha = hashlib.sha256()
        async for piece in request.stream():
            sha.update(piece)
        return sha.hexdigest()

    @app.get("/pieces")
    async def pieces(request):
        for at in range(0, len(BODY), 10_000):
            await asyncio.sleep(0)
            yield BODY[at : at + 10_000]

    @app.get("/mark/{mark}")
    async def mark(request):
        if request.query_params.get("wait"):
            await asyncio.sleep(0)
        return f"{request.path_params['mark']} {request.headers['x-mark']}"

    app.get("/plain-mark/{mark}")(
        lambda request: f"{request.path_params['mark']} {request.headers['x-mark']}"
    )
    return app


def tool(name: str) -> str:
    path = shutil.which(name)
    assert path is not None, f"{name} is missing: `make test` installs it, see packages.txt"
    return path


# --- curl -----------------------------------------------------------------------------------------


def curl(server, path, *options, data=None):
    done = subprocess.run(
        [tool("curl"), "--silent", "--show-error", "--max-time", "60", *options, server.url + path],
        input=data,
        capture_output=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1"])
def test_curl_reads_what_we_send(serve, app, version):
    server = serve(app)
    assert curl(server, "/native", version) == b"native"
    assert curl(server, "/body", version) == BODY
    assert curl(server, "/pieces", version) == BODY
    head = curl(server, "/native", version, "--head").decode()
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert "x-native: 1" in head.lower()


def test_curl_uploads_by_length_by_chunks_and_with_expect(serve, app):
    server = serve(app)
    digest = hashlib.sha256(BODY * 4).hexdigest().encode()
    data = ["--data-binary", "@-"]
    assert curl(server, "/digest", *data, data=BODY * 4) == digest
    chunked = [*data, "--header", "Transfer-Encoding: chunked"]
    assert curl(server, "/digest", *chunked, data=BODY * 4) == digest
    expect = [*data, "--header", "Expect: 100-continue", "--expect100-timeout", "30"]
    assert curl(server, "/echo", *expect, data=BODY) == BODY


def test_curl_uses_one_connection_for_several_requests(serve, app):
    server = serve(app)
    out = subprocess.run(
        [tool("curl"), "-sS", *(f"{server.url}/users/u{n}" for n in range(10))],
        capture_output=True,
        check=True,
    ).stdout
    assert out == b"".join(b'{"name":"u%d"}' % n for n in range(10))
    assert server.stats().total("connections_opened") == 1


# --- httpx ----------------------------------------------------------------------------------------


def test_httpx_plain(serve, app, pattern):
    server = serve(app, pattern=pattern)
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/users/ada").json() == {"name": "ada"}
        assert client.get("/none").status_code == 404
        assert client.post("/echo", content=BODY).content == BODY
        assert client.post("/digest", content=iter([BODY, BODY])).text == (
            hashlib.sha256(BODY * 2).hexdigest()
        )
        with client.stream("GET", "/pieces") as response:
            assert b"".join(response.iter_bytes()) == BODY

        def fetch(number):
            mark = f"m{number}"
            return (
                client.get(f"/plain-mark/{mark}", headers={"x-mark": mark}).text == f"{mark} {mark}"
            )

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(fetch, range(200)))


def test_httpx_async(serve, app, pattern):
    server = serve(app, pattern=pattern)

    async def main():
        async with httpx.AsyncClient(base_url=server.url) as client:

            async def fetch(number):
                mark = f"m{number}"
                path = f"/mark/{mark}?wait={number % 2 or ''}"
                return (await client.get(path, headers={"x-mark": mark})).text == f"{mark} {mark}"

            assert all(await asyncio.gather(*(fetch(number) for number in range(200))))
            async with client.stream("GET", "/pieces") as response:
                assert b"".join([piece async for piece in response.aiter_bytes()]) == BODY

    asyncio.run(main())


# --- wrk ------------------------------------------------------------------------------------------

# One connection per thread, so that the answer belongs to the thread's last request.
LUA = """
local threads, count, sent, wrong = {}, 0, nil, 0
kinds = { "/mark/%s", "/mark/%s?wait=1", "/plain-mark/%s", "/native" }

function setup(thread)
  table.insert(threads, thread)
  thread:set("id", #threads)
end

function init(args)
  answers, mistakes, first_mistake = 0, 0, ""
end

function request()
  count = count + 1
  local mark = string.format("t%dn%d", id, count)
  local kind = kinds[count % #kinds + 1]
  sent = kind == "/native" and "native" or (mark .. " " .. mark)
  return wrk.format("GET", string.format(kind, mark), { ["X-Mark"] = mark })
end

function response(status, headers, body)
  answers = answers + 1
  if status ~= 200 or body ~= sent then
    mistakes = mistakes + 1
    first_mistake = string.format("%d %q instead of %q", status, body, sent)
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  local all, bad, example = 0, 0, ""
  for _, thread in ipairs(threads) do
    all = all + thread:get("answers")
    bad = bad + thread:get("mistakes")
    if thread:get("first_mistake") ~= "" then example = thread:get("first_mistake") end
  end
  io.write(string.format("checked=%d wrong=%d errors=%d %s\\n", all, bad,
    e.connect + e.read + e.write + e.status + e.timeout, example))
end
"""


def test_wrk_finds_nothing_lost_wrong_or_mixed_up(serve, app, pattern, tmp_path):
    (tmp_path / "check.lua").write_text(LUA)
    server = serve(app, pattern=pattern)
    command = [tool("wrk"), "-t", "8", "-c", "8", "-d", "2s", "-s", "check.lua", server.url]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    found = re.search(r"checked=(\d+) wrong=(\d+) errors=(\d+)(.*)", out)
    assert found, out
    checked, wrong, errors = (int(found[n]) for n in (1, 2, 3))
    assert (wrong, errors) == (0, 0), found[4]
    assert checked > 100
    stats = eventually(lambda: (s := server.stats()).total("connections_open") == 0 and s)
    # wrk drops what is under way when its time is over: at most one per connection.
    answered = stats.total("requests") + stats.total("requests_abandoned")
    assert 0 <= answered - checked <= 8
    assert stats.total("requests_failed") == 0
