"""Every limit of a server: its reason, what happens past it, what counts that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["LIMIT_ROWS", "OTHER_LIMIT_ROWS", "LimitRow"]

Unit = Literal["bytes", "seconds", "rate", "count", "share"]


@dataclass(frozen=True)
class LimitRow:
    """One limit.

    Attributes
    ----------
    name:
        The field of `millrace.Limits`, ``form.`` and that of `millrace.FormLimits`, or
        what is called, a dot, and the argument.
    unit:
        What its number means; a rate is bytes per second.
    why:
        Why the default is what it is, and what it protects.
    past:
        What happens one past it.
    counter:
        What counts that in `Server.stats`; others may count there too. Empty where nothing does.
    use:
        What of a snapshot shows how much of it is used now; empty where it holds for each
        connection by itself.
    """

    name: str
    unit: Unit
    why: str
    past: str
    counter: str
    use: str = ""


LIMIT_ROWS = (
    LimitRow("target_bytes", "bytes", "RFC 9112 3 asks for at least 8,000; memory per connection",
             "414, closed", "heads_too_large"),
    LimitRow("head_bytes", "bytes", "cookies of several kB are common; memory per connection",
             "431, closed", "heads_too_large"),
    LimitRow("field_count", "count", "browsers send 10 to 20; time to look through them",
             "431, closed", "heads_too_large"),
    LimitRow("body_bytes", "bytes", "a body that is read as a whole lies in memory; streamed ones "
             "are their reader's", "413, closed", "bodies_too_large"),
    LimitRow("body_memory", "bytes", "all whole bodies together, as far as they have come, and the "
             "windows of decoders: 64 of the largest", "503", "bodies_refused", "body_bytes_held"),
    LimitRow("body_memory_high_water", "share", "of `body_memory`: bodies that have begun find as "
             "much again to end in", "a body not begun waits unread, `queue_timeout` at most",
             "bodies_paused", "bodies_waiting"),
    LimitRow("body_ahead_bytes", "bytes", "of a body that its handler reads as it comes: twice "
             "what a loop reads at once, so that a read is taken whole while another waits",
             "nothing more is read from its client", "bodies_held_back"),
    LimitRow("body_codings", "count", "`gzip, br` has no use, and multiplies what a few bytes can "
             "become", "415", "codings_refused"),
    LimitRow("body_ratio", "count", "text becomes 3 to 20 times larger, zeros 1,000 times",
             "413", "bodies_over_ratio"),
    LimitRow("body_ratio_from_bytes", "bytes", "a decoded body this small hurts nobody",
             "`body_ratio` counts", "bodies_over_ratio"),
    LimitRow("chunk_line_bytes", "bytes", "a size needs 16; extensions mean nothing to us",
             "400, closed", "protocol_errors"),
    LimitRow("trailer_bytes", "bytes", "a few fields; memory per connection",
             "431, closed", "heads_too_large"),
    LimitRow("discard_bytes", "bytes", "of a body that nobody reads: to swallow it costs less than "
             "a new connection", "closed after the answer", "connections_lingered"),
    LimitRow("header_timeout", "seconds", "from a head's first byte to its last, however it "
             "trickles", "408, closed", "header_timeouts"),
    LimitRow("body_timeout", "seconds", "a silence while somebody waits for the body; phones "
             "change cells", "408, closed", "body_timeouts"),
    LimitRow("min_body_rate", "rate", "as Kestrel's: below any modem's, so that only who drips on "
             "purpose is caught", "408, closed, once `body_timeout` is used up", "body_timeouts"),
    LimitRow("idle_timeout", "seconds", "above the 60 s of common load balancers, so that they "
             "close first", "closed", "idle_timeouts"),
    LimitRow("write_timeout", "seconds", "a client that takes nothing of its answer",
             "cut off", "write_timeouts"),
    LimitRow("min_response_rate", "rate", "as `min_body_rate`, for who takes its answer drop by "
             "drop", "cut off, once `write_timeout` is used up", "write_timeouts"),
    LimitRow("linger_timeout", "seconds", "a refused client that still sends reads why, before a "
             "reset could destroy it (RFC 9112 9.6)", "closed", "connections_lingered"),
    LimitRow("max_connections", "count", "each costs a descriptor and about 2 kB",
             "503, closed", "connections_refused", "connections"),
    LimitRow("max_connections_per_address", "count", "off: behind a proxy all clients have the "
             "proxy's address", "503, closed", "connections_refused_address"),
    LimitRow("max_requests_per_connection", "count", "off: what a connection holds does not grow "
             "with them", "the last answer says `Connection: close`", "connections_used_up"),
    LimitRow("max_connection_age", "seconds", "clients find new addresses and workers within the "
             "hour", "the next answer says `Connection: close`", "connections_aged"),
    LimitRow("max_in_flight", "count", "bounds memory; far above what a machine answers well at "
             "once", "waits, or 503", "requests_refused", "in_flight"),
    LimitRow("queue_requests", "count", "off: to wait behind 10,000 helps nobody; set it with a "
             "small `max_in_flight`", "503", "requests_refused", "requests_waiting"),
    LimitRow("queue_timeout", "seconds", "who asks again is better served than who hears late",
             "503", "requests_waited_in_vain"),
    LimitRow("high_water_bytes", "bytes", "of an answer in pieces: a slow client costs this in its "
             "connection, as much again from its handler, and no more", "its handler is paused",
             "outputs_held_back"),
    LimitRow("handler_stuck", "seconds", "nobody waits that long; the line in the log costs "
             "nothing otherwise", "named in the log, with its stack", "handlers_stuck"),
    LimitRow("form.parts", "count", "pages with as many inputs exist; each costs some 200 bytes",
             "413", "protocol_errors"),
    LimitRow("form.part_head_bytes", "bytes", "browsers send some 150 bytes",
             "413", "protocol_errors"),
    LimitRow("form.name_bytes", "bytes", "of a field's name and of a file's: four times what file "
             "systems take", "413", "protocol_errors"),
    LimitRow("form.field_bytes", "bytes", "a field is held in memory", "413", "protocol_errors"),
    LimitRow("form.memory_bytes", "bytes", "heads, fields and small files of one form together",
             "a file goes to the disk; else 413", "protocol_errors"),
    LimitRow("form.spool_bytes", "bytes", "most pictures are larger; smaller files cost no "
             "descriptor", "the file goes to the disk", ""),
    LimitRow("form.disk_bytes", "bytes", "of one form", "413", "protocol_errors"),
    LimitRow("form.total_bytes", "bytes", "a multipart body; one that declares more is refused "
             "before it is sent", "413", "protocol_errors"),
    LimitRow("form.pairs", "count", "as `form.parts`, of an urlencoded form", "413",
             "protocol_errors"),
    LimitRow("form.urlencoded_bytes", "bytes", "an urlencoded form has no files, so it is short",
             "413", "protocol_errors"),
)  # fmt: skip

# Given where they are made: of the workers' queue, of filters, of plain TCP, of UDP.
OTHER_LIMIT_ROWS = (
    LimitRow("patterns.queue.capacity", "count", "what waits for workers: a burst of clients and "
             "no hoard", "503; TCP waits, UDP drops", "requests_refused"),
    LimitRow("filters.RateLimit.max_keys", "count", "16 bytes each; more clients than ask within a "
             "burst's time", "who has the fullest bucket is forgotten", ""),
    LimitRow("TcpServer.max_connections", "count", "each costs a descriptor", "closed",
             "connections_refused"),
    LimitRow("TcpServer.max_connections_per_address", "count", "as that of HTTP", "closed",
             "connections_refused_address"),
    LimitRow("TcpServer.idle_timeout", "seconds", "outlives a person's pause and most middleboxes' "
             "memory", "reset", "idle_timeouts"),
    LimitRow("TcpServer.write_timeout", "seconds", "a peer that takes nothing of what it is sent",
             "reset", "write_timeouts"),
    LimitRow("TcpServer.high_water_bytes", "bytes", "unsent: what a slow peer costs; as much "
             "again waits for its handler", "nothing more is read from it", "writes_blocked"),
    LimitRow("TcpServer.handler_stuck", "seconds", "as that of HTTP",
             "named in the log, with its stack", "handlers_stuck"),
    LimitRow("framing.lines.max_bytes", "bytes", "a message that has begun is held in memory",
             "what came before is answered, then closed", "protocol_errors"),
    LimitRow("framing.length_prefixed.max_bytes", "bytes", "as that of lines",
             "what came before is answered, then closed", "protocol_errors"),
    LimitRow("UdpServer.max_bytes", "bytes", "what IPv4 can carry", "dropped",
             "datagrams_too_large"),
    LimitRow("UdpServer.unsent_datagrams", "count", "answers that wait for room in the kernel's "
             "buffer", "dropped", "datagrams_dropped"),
    LimitRow("UdpServer.max_calls", "count", "coroutines under way: nothing holds the senders "
             "back", "dropped", "datagrams_dropped"),
    LimitRow("UdpServer.handler_stuck", "seconds", "as that of HTTP",
             "named in the log, with its stack", "handlers_stuck"),
    LimitRow("udp_connect.unread_datagrams", "count", "what nobody has received yet", "dropped",
             "datagrams_dropped"),
)  # fmt: skip
