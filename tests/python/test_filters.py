"""Filters: who is asked in which order, and what they see."""

from __future__ import annotations

import millrace as mr
import pytest
from millrace.filters import SecurityHeaders

from tests.python.wire import Wire


def marked(value: str) -> SecurityHeaders:
    """Return a filter that marks answers, unless one nearer to the handler has."""
    return SecurityHeaders(other={"X-Mark": value})


def test_they_see_every_answer_under_every_pattern(serve, tmp_path, pattern):
    (tmp_path / "file.txt").write_text("file")
    app = mr.App()
    app.filter(SecurityHeaders(referrer_policy=None))
    app.static("/files", tmp_path)
    app.respond("/constant", "constant")
    app.get("/plain")(lambda request: "plain")

    @app.get("/fails")
    async def fails(request):
        raise ValueError("on purpose")

    @app.get("/streamed")
    async def streamed(request):
        yield "one"
        yield "two"

    paths = {"/constant": 200, "/files/file.txt": 200, "/plain": 200, "/streamed": 200,
             "/fails": 500, "/missing": 404}  # fmt: skip
    with Wire(serve(app, pattern=pattern)) as wire:
        for path, status in paths.items():
            answer = wire.get(path)
            assert answer.status == status, path
            assert answer.header("x-content-type-options") == "nosniff", path
            assert answer.header("x-frame-options") == "DENY", path
            assert answer.header("referrer-policy") is None, path


def test_a_field_of_the_handlers_own_stays(serve):
    app = mr.App()
    app.filter(SecurityHeaders())
    app.respond("/", "x", headers={"x-frame-options": "SAMEORIGIN"})
    with Wire(serve(app)) as wire:
        answer = wire.get("/")
        assert answer.all("x-frame-options") == ["SAMEORIGIN"]


def test_a_prefix_ends_at_a_segments_end_and_included_apps_add_theirs(serve):
    inner = mr.App()
    inner.filter(marked("inner"))
    inner.filter(marked("deep"), prefix="/deep/")
    inner.get("/{rest:path}")(lambda request: "inner")
    app = mr.App()
    app.filter(marked("pages"), prefix="/pages")
    app.include("/api", inner)
    app.get("/{rest:path}")(lambda request: "outer")
    marks = {"/": None, "/pages": "pages", "/pages/1": "pages", "/pagesx": None, "/api/x": "inner",
             "/api/deep/x": "deep", "/apix": None}  # fmt: skip
    with Wire(serve(app)) as wire:
        for path, mark in marks.items():
            assert wire.get(path).header("x-mark") == mark, path


def test_transport_security_waits_for_tls(serve):
    app = mr.App()
    app.filter(SecurityHeaders(transport_security="365d"))
    app.respond("/", "x")
    with Wire(serve(app)) as wire:
        assert wire.get("/").header("strict-transport-security") is None
    settings = SecurityHeaders(transport_security="365d").settings()
    assert settings["secure_values"] == ["max-age=31536000"]


def test_mistakes_are_named():
    app = mr.App()
    with pytest.raises(TypeError, match="is no filter"):
        app.filter(lambda request: None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="does not start with"):
        app.filter(SecurityHeaders(), prefix="api")
    with pytest.raises(ValueError, match="Referrer-Policy"):
        SecurityHeaders(referrer_policy="a\r\nb")
    with mr.Server(app), pytest.raises(RuntimeError, match="is being served"):
        app.filter(SecurityHeaders())
