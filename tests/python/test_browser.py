"""A real browser: a page with assets, and an answer in pieces read as it comes."""

from __future__ import annotations

import asyncio
import base64
import re
import subprocess

import millrace as mr
import pytest

from tests.python.test_interop import tool

PAGE = """<!doctype html>
<html><head>
<meta charset="utf-8">
<title>page</title>
<link rel="stylesheet" href="/assets/style.css">
<script src="/assets/script.js" defer></script>
</head><body>
<img id="picture" src="/assets/dot.png" alt="">
<p id="styled">styled</p>
<p id="pieces"></p>
<p id="posted"></p>
<p id="result"></p>
<!-- The page counts as loaded when this one has come: once the script is done. -->
<img src="/done.png" alt="">
</body></html>
"""

SCRIPT = """
async function main() {
  const response = await fetch("/pieces");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const pieces = document.getElementById("pieces");
  let reads = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    reads += 1;
    pieces.textContent += value;
    // The server sends the next piece when it has heard of this one.
    await fetch("/heard", { method: "POST", body: value });
  }
  const posted = await fetch("/echo", { method: "POST", body: "pösted" });
  document.getElementById("posted").textContent = await posted.text();
  const picture = document.getElementById("picture");
  await picture.decode();
  const colour = getComputedStyle(document.getElementById("styled")).color;
  document.getElementById("result").textContent =
    [reads, picture.naturalWidth, colour].join(" ");
}
main()
  .catch(error => { document.getElementById("result").textContent = error; })
  .finally(() => fetch("/done", { method: "POST" }));
"""

DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def make_app() -> mr.App:
    app = mr.App()
    app.respond("/", PAGE, content_type="text/html; charset=utf-8")
    app.respond("/assets/style.css", "#styled { color: rgb(1, 2, 3) }", content_type="text/css")
    app.respond("/assets/script.js", SCRIPT, content_type="text/javascript")
    app.respond("/assets/dot.png", DOT, content_type="image/png")
    app.post("/echo")(lambda request: request.text())

    @app.lifespan
    async def life(app):
        app.state.heard = asyncio.Queue()
        app.state.done = asyncio.Event()
        yield

    @app.post("/heard")
    async def heard(request):
        app.state.heard.put_nowait(await request.read())
        return mr.Response(status=204)

    @app.post("/done")
    async def done(request):
        app.state.done.set()

    @app.get("/done.png")
    async def picture_when_done(request):
        await app.state.done.wait()
        return mr.Response(DOT, content_type="image/png")

    @app.get("/pieces")
    async def pieces(request):
        for word in ("one", "twö", "three"):
            yield word + " "
            await app.state.heard.get()

    return app


@pytest.mark.in_process
def test_a_browser_shows_a_page_with_assets_and_a_streamed_answer(serve, pattern, tmp_path):
    server = serve(make_app(), pattern=pattern)
    command = [
        tool("chromium"),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path}/profile",
        "--dump-dom",
        server.url + "/",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    shown = dict(re.findall(r'<p id="(\w+)">(.*?)</p>', done.stdout))
    assert shown == {
        "styled": "styled",
        "pieces": "one twö three ",
        "posted": "pösted",
        "result": "3 1 rgb(1, 2, 3)",
    }, done.stderr
