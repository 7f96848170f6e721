"""Forms: fields and files, of browsers and of others, under every execution pattern."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import httpx
import millrace as mr
import pytest

from tests.python.wire import Answer, Wire, eventually, fetch

LARGE = random.Random(7).randbytes(1_500_000)

# As Chromium sends it: names escaped by percents, the file of an empty input, and LF in a text.
BOUNDARY = "----WebKitFormBoundaryePkpFF7tjBAqx29L"
BROWSER = (
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="title"\r\n\r\nGrüße\r\nzweite Zeile\r\n'
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="a%22b%0D%0Ac"\r\n\r\n100%25\r\n'
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="photo"; filename="Bild Nr. 1 %22groß%22.png"\r\n'
    "Content-Type: image/png\r\n\r\n\x89PNG\r\n--\r\n\r\n"
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="none"; filename=""\r\n'
    "Content-Type: application/octet-stream\r\n\r\n\r\n"
    f"--{BOUNDARY}--\r\n"
).encode()
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}


def post(server: mr.Server, target: str, body: bytes, headers: dict[str, str]) -> Answer:
    return fetch(server, "POST", target, headers, body)


def describe(form: mr.FormData) -> dict[str, object]:
    """What a form holds, for JSON."""
    rows = []
    for name, value in form.multi_items():
        if isinstance(value, mr.UploadedFile):
            value = {
                "filename": value.filename, "safe": value.safe_filename, "size": value.size,
                "type": value.content_type, "sum": sum(value.read()), "head": value.headers.items(),
                "on_disk": hasattr(value.file, "raw"),
            }  # fmt: skip
        rows.append([name, value])
    return {"items": rows}


@pytest.fixture
def app() -> mr.App:
    app = mr.App()

    @app.post("/plain")
    def plain(request):
        return describe(request.form())

    @app.post("/coroutine")
    async def coroutine(request):
        form = await request.form()
        assert await request.form() is form
        return describe(form)

    @app.post("/limited/{limit}/{value:int}")
    async def limited(request):
        limit, value = request.path_params["limit"], request.path_params["value"]
        return describe(await request.form(limits=mr.FormLimits(**{limit: value})))

    @app.post("/parts")
    async def parts(request):
        seen = []
        async for part in request.parts():
            if part.filename is None:
                seen.append([part.name, (await part.read()).decode()])
            elif part.name != "none":
                size = 0
                async for piece in part:
                    size += len(piece)
                seen.append([part.name, part.filename, part.content_type, size])
        return {"parts": seen}

    return app


KINDS = pytest.mark.parametrize("kind", ["plain", "coroutine"])


@KINDS
def test_a_browsers_form_is_read(serve, app, pattern, kind):
    server = serve(app, pattern=pattern)
    items = post(server, f"/{kind}", BROWSER, MULTIPART).json()["items"]
    assert items[:2] == [["title", "Grüße\r\nzweite Zeile"], ['a"b\r\nc', "100%25"]]
    name, photo = items[2]
    assert (name, photo["filename"]) == ("photo", 'Bild Nr. 1 "groß".png')
    assert (photo["safe"], photo["type"]) == ("Bild Nr. 1 groß.png", "image/png")
    content = "\x89PNG\r\n--\r\n".encode()
    assert (photo["size"], photo["sum"], photo["on_disk"]) == (len(content), sum(content), False)
    name, none = items[3]
    assert (name, none["filename"], none["size"]) == ("none", "", 0)


@KINDS
def test_an_urlencoded_form_is_read(serve, app, pattern, kind):
    server = serve(app, pattern=pattern)
    body = b"name=J%C3%BCrgen+M%C3%BCller&tag=a&tag=b&empty=&bad=%FF%"
    items = post(server, f"/{kind}", body, URLENCODED).json()["items"]
    assert items == [["name", "Jürgen Müller"], ["tag", "a"], ["tag", "b"], ["empty", ""],
                     ["bad", "\ufffd%"]]  # fmt: skip


@KINDS
def test_large_files_go_to_the_disk_and_come_back_whole(serve, app, pattern, kind):
    server = serve(app, pattern=pattern)
    files = [("f", ("large.bin", LARGE)), ("f", ("small.bin", LARGE[:100])),
             ("f", ("other.bin", LARGE[::-1]))]  # fmt: skip
    answer = httpx.post(f"{server.url}/{kind}", files=files, data={"a": "1", "b": ["2", "3"]})
    items = answer.json()["items"]
    assert items[:3] == [["a", "1"], ["b", "2"], ["b", "3"]]
    assert [(v["filename"], v["size"], v["sum"], v["on_disk"]) for _, v in items[3:]] == [
        ("large.bin", len(LARGE), sum(LARGE), True),
        ("small.bin", 100, sum(LARGE[:100]), False),
        ("other.bin", len(LARGE), sum(LARGE), True),
    ]


def test_parts_come_one_by_one_without_being_kept(serve, app, pattern):
    server = serve(app, pattern=pattern)
    seen = post(server, "/parts", BROWSER, MULTIPART).json()["parts"]
    assert seen[2:] == [["photo", 'Bild Nr. 1 "groß".png', "image/png", 11]]
    assert [row[0] for row in seen] == ["title", 'a"b\r\nc', "photo"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_is_understood(serve, app, tmp_path):
    (tmp_path / "large.bin").write_bytes(LARGE)
    command = ["curl", "-sS", "-F", 'a "quoted" name=1;type=text/plain', "-F", "f=@large.bin",
               serve(app).url + "/coroutine"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=60)
    items = httpx.Response(200, content=done.stdout).json()["items"]
    assert items[0] == ['a "quoted" name', "1"]
    assert (items[1][1]["filename"], items[1][1]["sum"]) == ("large.bin", sum(LARGE))


def test_every_cut_of_the_body_gives_the_same_form(serve, app):
    server = serve(app)
    expected = post(server, "/coroutine", BROWSER, MULTIPART).json()
    with Wire(server) as wire:
        for step in (1, 2, 7, 61):
            head = f"POST /coroutine HTTP/1.1\r\nHost: a\r\nContent-Length: {len(BROWSER)}\r\n"
            wire.send(head, f"Content-Type: {MULTIPART['Content-Type']}\r\n\r\n")
            for at in range(0, len(BROWSER), step):
                wire.send(BROWSER[at : at + step])
            assert wire.read().json() == expected, step


def field(name: str, content: str) -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{content}\r\n'


def file(name: str, content: str, filename: str = "f") -> str:
    return field(f'{name}"; filename="{filename}', content)


B = {"Content-Type": "multipart/form-data; boundary=b"}


@KINDS
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (B, field("a", "1"), 400),  # no last boundary
        (B, "", 400),
        (B, "--b\r\n\r\n1\r\n--b--", 400),
        (B, "--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--", 400),
        ({"Content-Type": "multipart/form-data"}, field("a", "1") + "--b--", 400),
        ({"Content-Type": "application/json"}, "{}", 415),
        ({}, "a=1", 415),
        ({"Content-Type": "multipart/mixed; boundary=b"}, field("a", "1") + "--b--", 415),
        (B, field("a", "x" * 2_000_000) + "--b--", 413),
        (URLENCODED, "a&" * 1001, 413),
        # One past the limit, and no more than a server reads to its end behind a refusal.
        (URLENCODED, "a=" + "x" * (2**20 - 1), 413),
    ],
)
def test_what_is_no_form_is_refused_by_name(serve, app, kind, headers, body, status):
    server = serve(app)
    answer = post(server, f"/{kind}", body.encode(), headers)
    assert answer.status == status
    assert eventually(lambda: server.stats().total("protocol_errors") == 1)
    assert server.stats().total("requests_failed") == 0
    # The server is well.
    assert post(server, f"/{kind}", b"a=1", URLENCODED).json() == {"items": [["a", "1"]]}


LIMITED = field("ab", "12345") + file("f", "1234567890", "xyz") + "--b--"


@pytest.mark.parametrize(
    ("limit", "value", "headers", "body"),
    [
        ("parts", 2, B, LIMITED),
        ("name_bytes", 3, B, LIMITED),
        ("field_bytes", 5, B, LIMITED),
        ("total_bytes", len(LIMITED), B, LIMITED),
        ("pairs", 2, URLENCODED, "a=1&b=2"),
        ("urlencoded_bytes", 7, URLENCODED, "a=1&b=2"),
    ],
)
def test_each_limit_holds(serve, app, limit, value, headers, body):
    server = serve(app)
    body = body.encode()
    assert post(server, f"/limited/{limit}/{value}", body, headers).status == 200
    assert post(server, f"/limited/{limit}/{value - 1}", body, headers).status == 413
    assert eventually(lambda: server.stats().total("protocol_errors") == 1)


@pytest.mark.parametrize("kind", ["plain", "coroutine", "parts"])
def test_a_server_has_limits_of_its_own_for_calls_that_name_none(serve, app, pattern, kind):
    limits = mr.Limits(form=mr.FormLimits(parts=2, field_bytes=5))
    server = serve(app, pattern=pattern, limits=limits)
    longer = (field("ab", "123456") + "--b--").encode()
    more = (field("a", "1") * 3 + "--b--").encode()
    assert post(server, f"/{kind}", LIMITED.encode(), B).status == 200
    assert post(server, f"/{kind}", longer, B).status == 413
    assert post(server, f"/{kind}", more, B).status == 413
    # What a call names counts instead.
    assert post(server, "/limited/parts/3", more, B).status == 200


def test_a_body_that_says_it_is_too_large_is_refused_unread(serve, app):
    with Wire(serve(app)) as wire:
        head = "POST /limited/total_bytes/1000 HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n"
        wire.send(head, f"Content-Type: {B['Content-Type']}\r\nExpect: 100-continue\r\n\r\n")
        assert wire.read().status == 413  # and no 100 before it


def test_handlers_may_catch_what_is_wrong_with_a_form(serve):
    app = mr.App()

    @app.post("/")
    async def handler(request):
        try:
            await request.form()
        except mr.errors.RemoteProtocolError as error:
            return {"code": error.code, "rule": error.rule, "text": str(error)}

    body = field("a", "1").encode()
    answer = post(serve(app), "/", body, B).json()
    assert (answer["code"], answer["rule"]) == ("malformed_message", "RFC 2046 5.1.1")
    assert "before its last boundary" in answer["text"]


def spools(process: object = "self") -> int:
    """Temporary files that a process has open."""
    count = 0
    for link in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += bool(re.search(r"/#\d+ \(deleted\)", str(link.readlink())))
    return count


@pytest.mark.in_process
def test_uploads_are_closed_when_the_request_is_over(serve, pattern):
    app, released = mr.App(), []

    @app.post("/")
    async def handler(request):
        form = await request.form()
        released.append(form["f"].size)
        return {"open": spools()}

    before = spools()
    server = serve(app, pattern=pattern)
    for _ in range(3):
        answer = httpx.post(server.url, files={"f": ("x", LARGE)})
        assert answer.json()["open"] == before + 1
    assert released == [len(LARGE)] * 3
    assert eventually(lambda: spools() == before)


@pytest.mark.in_process
def test_background_work_may_hold_an_upload(serve, pattern, tmp_path):
    app = mr.App()

    @app.post("/")
    async def handler(request):
        upload = (await request.form())["f"]
        return mr.Response("later", background=mr.BackgroundTask(upload.save, tmp_path / "saved"))

    answer = httpx.post(serve(app, pattern=pattern).url, files={"f": ("x", LARGE)})
    assert answer.text == "later"
    assert eventually(
        lambda: (tmp_path / "saved").exists() and (tmp_path / "saved").read_bytes() == LARGE
    )


@pytest.mark.parametrize("size", [100, len(LARGE)])
def test_an_upload_is_a_file(serve, tmp_path, size):
    app, content = mr.App(), LARGE[:size]

    @app.post("/")
    async def handler(request):
        async with request.form() as form:
            upload = form["f"]
            assert upload.read(3) == content[:3]
            assert upload.tell() == 3
            assert upload.seek(-5, os.SEEK_END) == size - 5
            assert upload.read() == content[-5:]
            assert upload.read() == b""
            upload.seek(1)
            assert upload.file.read(4) == content[1:5]
            await asyncio.to_thread(upload.save, tmp_path / "saved")
            assert (tmp_path / "saved").read_bytes() == content
            with pytest.raises(FileNotFoundError):
                upload.save(tmp_path / "none" / "saved")
        assert upload.closed
        with pytest.raises(ValueError, match="closed"):
            upload.read()
        return "fine"

    assert httpx.post(serve(app).url, files={"f": ("x", content)}).text == "fine"


def test_a_part_that_is_left_unread_is_passed_over(serve):
    app = mr.App()

    @app.post("/")
    async def handler(request):
        seen, before = [], None
        async for part in request.parts():
            if before is not None:
                seen.append(await before.read())  # it is over: nothing of this part
            before = part
            async for piece in part:
                seen.append(piece[:1])
                break
        return {"seen": [piece.decode() for piece in seen]}

    body = (file("a", "xyz" * 100) + file("b", "123" * 100) + "--b--").encode()
    assert post(serve(app), "/", body, B).json() == {"seen": ["x", "", "1"]}


def test_part_read_is_limited(serve):
    app = mr.App()

    @app.post("/")
    async def handler(request):
        async for part in request.parts(limits=mr.FormLimits(field_bytes=3)):
            return await part.read()
        return "no part"

    server = serve(app)
    assert post(server, "/", (field("a", "123") + "--b--").encode(), B).body == b"123"
    assert post(server, "/", (field("a", "1234") + "--b--").encode(), B).status == 413
    assert eventually(lambda: server.stats().total("protocol_errors") == 1)


def test_fields_have_the_charset_that_is_declared(serve, app):
    typed = '--b\r\nContent-Disposition: form-data; name="t"\r\nContent-Type: text/plain; '
    body = (
        typed.encode() + b"charset=iso-8859-15\r\n\r\n\xa4\r\n"
        + field("_charset_", "latin-1").encode()
        + b'--b\r\nContent-Disposition: form-data; name="l"\r\n\r\n\xfc\r\n'
        + typed.encode() + b"charset=unheard-of\r\n\r\n\xc3\xbc\r\n--b--"
    )  # fmt: skip
    items = post(serve(app), "/coroutine", body, B).json()["items"]
    assert items == [["t", "€"], ["_charset_", "latin-1"], ["l", "ü"], ["t", "ü"]]


def test_plain_handlers_inside_coroutine_middleware_get_the_form_itself(serve):
    app = mr.App()

    @app.middleware
    async def around(request, call_next):
        return await call_next(request)

    @app.post("/")
    def handler(request):
        return request.form()["a"]

    assert post(serve(app), "/", b"a=1", URLENCODED).text == "1"


# A program with a tiny disk of its own, in which large uploads have no room.
FULL_DISK = """
import os, sys, httpx, millrace as mr
app, disk = mr.App(), sys.argv[1]

@app.post("/")
async def upload(request):
    form = await request.form(limits=mr.FormLimits(directory=disk))
    return str(form["f"].size)

@app.put("/")
async def save(request):
    return str(await request.save(disk + "/saved"))

def ask(url):
    for size in (2_000_000, 500_000, 2_000_000, 500_000):
        yield httpx.post(url, files={"f": ("x", b"x" * size)})
    for size in (500_000, 2_000_000):
        yield httpx.put(url, content=b"x" * size)

for pattern in [*mr.patterns.all(), mr.patterns.multi_process(2)]:
    with mr.Server(app, pattern=pattern) as server:
        answers = [(answer.status_code, answer.text) for answer in ask(server.url)]
    counts = [server.stats().total(name) for name in ("requests", "requests_failed")]
    left = os.listdir(disk), os.path.getsize(disk + "/saved"), os.statvfs(disk).f_bfree > 100
    print((answers, counts, *left))
    os.remove(disk + "/saved")
"""


def test_a_full_disk_is_507_and_the_server_stays_well(tmp_path):
    mount = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-Urm", "sh", "-c", mount, "sh", str(tmp_path), sys.executable, FULL_DISK]
    if shutil.which("unshare") is None:
        pytest.skip("no unshare(1) here")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("no file system of our own here: " + done.stderr.strip())
    full, fits = (507, "Insufficient Storage"), (200, "500000")
    found = [ast.literal_eval(line) for line in done.stdout.splitlines()]
    assert len(found) == len(list(mr.patterns.all())) + 1, done.stderr
    for one in found:
        assert one == ([full, fits, full, fits, fits, full], [6, 3], ["saved"], 500_000, True)
    assert done.stderr.count("DiskFull: the disk has no room left") == 3 * len(found)
    assert "cannot write to a file" in done.stderr


SPOOLING = """
import sys, threading, millrace as mr
app = mr.App()

@app.post("/")
async def upload(request):
    await request.form(limits=mr.FormLimits(directory=sys.argv[1]))

with mr.Server(app) as server:
    print(server.port, flush=True)
    threading.Event().wait()
"""


def test_a_killed_process_leaves_nothing_behind(script, tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    program = script(SPOOLING, arguments=[str(folder)])
    server = SimpleNamespace(port=int(program.line_with("", of="stdout")))
    with Wire(server) as wire:
        wire.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {2 * len(LARGE)}\r\n")
        wire.send(f"Content-Type: {B['Content-Type']}\r\n\r\n", file("f", "")[:-2], LARGE)
        assert eventually(lambda: spools(program.process.pid) == 1)
        assert list(folder.iterdir()) == []
        program.process.send_signal(signal.SIGKILL)
        program.process.wait()
    assert list(folder.iterdir()) == []
