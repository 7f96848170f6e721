"""What every server answers, in one place: a row compares servers only if the bytes are equal."""

HELLO = b"Hello, World!"
BODY = b"x" * 10_240
"""The 10 kB response body."""

EXTRA_HEADERS = (("x-one", "1"), ("x-two", "2"))
"""The two headers of the middleware row."""
