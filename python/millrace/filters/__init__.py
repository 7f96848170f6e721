"""Filters: what sees every request before the router, and may have a part in its answer.

They are registered with `millrace.App.filter`, run natively on the connection's loop, and see what
never enters Python too: constant routes, files, answers of 404 and 405. Each is a value; what
needs Python code is middleware (`millrace.App.middleware`).
"""

from millrace.filters.compression import Compression
from millrace.filters.filter import Filter
from millrace.filters.security_headers import SecurityHeaders

__all__ = ["Compression", "Filter", "SecurityHeaders"]
