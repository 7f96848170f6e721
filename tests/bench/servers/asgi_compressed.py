"""The suite's ASGI handlers behind a middleware that compresses, at the levels of `payload.py`."""

import asgi_app
from payload import GZIP_LEVEL, ZSTD_LEVEL
from starlette_compress import CompressMiddleware

app = CompressMiddleware(
    asgi_app.app, minimum_size=1000, gzip_level=GZIP_LEVEL, zstd_level=ZSTD_LEVEL
)
