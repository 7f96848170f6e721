"""The options of ``millrace serve`` about proxies in front of it, by uvicorn's names."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from millrace.filters import ProxyHeaders

__all__ = ["add_options", "chosen_filter"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("--proxy-headers", action="store_true",
        help="believe X-Forwarded-For and -Proto of a proxy on this machine (off: without a proxy "
        "they are the client's own words)")  # fmt: skip
    add("--no-proxy-headers", action="store_true", help="believe nobody, whatever else says so")
    add("--forwarded-allow-ips", metavar="LIST",
        help="believe these instead: addresses, networks, unix, or '*' for everybody, with commas "
        "between; with --proxy-headers also FORWARDED_ALLOW_IPS")  # fmt: skip


def chosen_filter(
    options: argparse.Namespace, environment: Mapping[str, str]
) -> ProxyHeaders | None:
    """Return the filter that the options ask for.

    A list is a wish to believe those in it. uvicorn's variable is not: other programs read it too.

    Raises
    ------
    ValueError
        Somebody in the list is no address, or the list is empty.
    """
    source, text = "--forwarded-allow-ips", options.forwarded_allow_ips
    if options.no_proxy_headers or not (options.proxy_headers or text is not None):
        return None
    if text is None and (variable := environment.get("FORWARDED_ALLOW_IPS")):
        source, text = "FORWARDED_ALLOW_IPS", variable
    if text is None:
        return ProxyHeaders()
    trusted = [name.strip() for name in text.split(",") if name.strip()]
    if not trusted:
        raise ValueError(f"{source}: {text!r} names nobody: use --no-proxy-headers to trust none")
    try:
        return ProxyHeaders(trusted=trusted)
    except ValueError as error:
        raise ValueError(f"{source}: {str(error).removeprefix('trusted: ')}") from None
