"""What every server answers, in one place: a row compares servers only if the bytes are equal."""

import json

HELLO = b"Hello, World!"
BODY = b"x" * 10_240
"""The 10 kB response body."""

RECORDS = json.dumps(
    [
        {"id": n, "name": f"user {n * 7919 % 10_007}", "active": n % 3 == 0, "score": n * 37 % 1000}
        for n in range(800)
    ]
).encode()
"""The 50 kB of JSON in the rows of content codings; `suite/files.py` has the same as a file."""

GZIP_LEVEL, ZSTD_LEVEL = 4, 1
"""The same for every server: what differs is the rest."""

EXTRA_HEADERS = (("x-one", "1"), ("x-two", "2"))
"""The two headers of the middleware row."""
