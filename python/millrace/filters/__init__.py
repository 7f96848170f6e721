"""Filters: what sees every request before the router, and may have a part in its answer.

They are registered with `millrace.App.filter`, run natively on the connection's loop, and see what
never enters Python too: constant routes, files, answers of 404 and 405. Each is a value; what
needs Python code is middleware (`millrace.App.middleware`), such as `basic_auth`.
"""

from millrace.filters.auth import basic_auth, bearer_auth, same_secret
from millrace.filters.body_limit import BodyLimit
from millrace.filters.compression import Compression
from millrace.filters.cors import CORS
from millrace.filters.credentials import Credentials
from millrace.filters.etag import ETag
from millrace.filters.filter import Filter
from millrace.filters.https_redirect import HTTPSRedirect
from millrace.filters.proxy_headers import ProxyHeaders
from millrace.filters.rate_limit import RateLimit
from millrace.filters.request_id import RequestId
from millrace.filters.security_headers import SecurityHeaders
from millrace.filters.trusted_hosts import TrustedHosts

__all__ = [
    "CORS",
    "BodyLimit",
    "Compression",
    "Credentials",
    "ETag",
    "Filter",
    "HTTPSRedirect",
    "ProxyHeaders",
    "RateLimit",
    "RequestId",
    "SecurityHeaders",
    "TrustedHosts",
    "basic_auth",
    "bearer_auth",
    "same_secret",
]
