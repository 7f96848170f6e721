"""The compiled engine: names and lifetimes. The facades in this package are the documented way in."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from os import PathLike
from types import SimpleNamespace
from typing import Any, Literal, TypeAlias, final

from typing_extensions import disjoint_base

__version__: str

# --- errors ---------------------------------------------------------------------------------------

def error_codes() -> list[tuple[str, str, str, str]]:
    """Every Errc: name, sentence, fault ("local", "peer", "network"), retry ("never", ...)."""

# --- patterns -------------------------------------------------------------------------------------

class Recipe:
    def __init__(self) -> None: ...
    name: str
    accept: str  # "one_loop", "shared_socket", "socket_per_loop"
    place: str  # "accepting_loop", "round_robin", "least_connections"
    run: str  # "on_loop", "on_workers"
    wakeup: str  # "epoll", "epoll_exclusive", "blocking"
    separate_acceptor: bool
    loops: int
    workers: int
    queue_capacity: int
    def check(self) -> None:
        """Raise ValueError, with a sentence, where the recipe contradicts itself."""

def recipes() -> list[Recipe]: ...

# --- options; every field has the C++ default ------------------------------------------------------

class Limits:
    def __init__(self) -> None: ...
    target_bytes: int
    head_bytes: int
    field_count: int
    chunk_line_bytes: int
    trailer_bytes: int
    discard_bytes: int
    min_body_rate: int  # bytes per second; 0: none
    header_timeout: float  # seconds, as all below
    body_timeout: float
    idle_timeout: float

class ServerOptions:
    def __init__(self) -> None: ...
    bind: list[str]
    recipe: Recipe
    limits: Limits
    backlog: int
    takes_over: bool  # what the binds name is a predecessor's, and ours from now on
    socket: SocketOptions
    body_bytes: int
    decompress: bool
    body_codings: int
    body_ratio: int
    body_ratio_from_bytes: int
    max_connections: int
    max_connections_per_address: int  # 0: no limit
    max_requests_per_connection: int  # 0: no limit
    max_connection_age: float  # seconds; 0: no limit
    min_response_rate: int  # bytes per second; 0: none
    body_memory: int
    body_memory_high_water: float  # share of body_memory
    body_ahead_bytes: int
    max_in_flight: int
    adaptive_in_flight: bool
    queue_requests: int
    queue_timeout: float
    handler_stuck: float  # seconds; 0: nobody watches
    filters: list[Filter]
    half_close: bool
    journey: bool
    write_timeout: float
    linger_timeout: float
    high_water_bytes: int

# --- sockets ---------------------------------------------------------------------------------------

class SocketOptions:  # None: the kernel's default; switches are 0 or 1
    def __init__(self) -> None: ...
    nodelay: int | None
    quickack: int | None
    cork: int | None
    receive_buffer: int | None  # bytes
    send_buffer: int | None
    not_sent_low_watermark: int | None
    fast_open: int | None
    defer_accept: int | None  # seconds
    reuse_port: int | None
    keepalive: int | None
    keepalive_idle: int | None  # seconds
    keepalive_interval: int | None
    keepalive_count: int | None
    user_timeout: int | None  # milliseconds
    congestion_control: str | None
    linger: int | None  # seconds
    v6_only: int | None
    incoming_cpu: int | None
    incoming_cpus: list[int]  # one for each socket of an address, in place of incoming_cpu
    unix_mode: int | None

class SocketOptionOutcome:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # by the engine alone
    @property
    def name(self) -> str: ...
    @property
    def asked(self) -> int | str | None: ...
    @property
    def effective(self) -> int | str | None: ...
    @property
    def verdict(
        self,
    ) -> str: ...  # "kernel_default", "taken", "changed", "refused", "not_applicable"
    @property
    def why(self) -> str: ...

class SocketReport:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # by the engine alone
    @property
    def endpoint(self) -> str: ...
    @property
    def outcomes(self) -> list[SocketOptionOutcome]: ...

class AcceptQueue:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # by the engine alone
    @property
    def depth(self) -> int: ...
    @property
    def limit(self) -> int: ...

class QueueReport:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # by the engine alone
    @property
    def endpoint(self) -> str: ...
    @property
    def queue(self) -> AcceptQueue | None: ...

class ReceiveQueue:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # by the engine alone
    @property
    def waiting_bytes(self) -> int: ...
    @property
    def limit_bytes(self) -> int: ...
    @property
    def drops(self) -> int: ...

class ReceiveQueueReport:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # by the engine alone
    @property
    def endpoint(self) -> str: ...
    @property
    def queue(self) -> ReceiveQueue | None: ...

class ListenCounters:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # by the engine alone
    @property
    def overflows(self) -> int: ...
    @property
    def drops(self) -> int: ...

class TcpReport:  # durations in seconds
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # by the engine alone
    @property
    def state(self) -> str: ...
    @property
    def congestion_control(self) -> str: ...
    @property
    def rtt(self) -> float: ...
    @property
    def rtt_variation(self) -> float: ...
    @property
    def rtt_min(self) -> float: ...
    @property
    def retransmission_timeout(self) -> float: ...
    @property
    def since_data_sent(self) -> float: ...
    @property
    def since_data_received(self) -> float: ...
    @property
    def send_segment_bytes(self) -> int: ...
    @property
    def congestion_window(self) -> int: ...
    @property
    def slow_start_threshold(self) -> int: ...
    @property
    def unacked_segments(self) -> int: ...
    @property
    def lost_segments(self) -> int: ...
    @property
    def retransmitted_segments(self) -> int: ...
    @property
    def not_sent_bytes(self) -> int: ...
    @property
    def bytes_acked(self) -> int: ...
    @property
    def bytes_received(self) -> int: ...
    @property
    def segments_out(self) -> int: ...
    @property
    def segments_in(self) -> int: ...
    @property
    def delivery_rate(self) -> int: ...
    @property
    def pacing_rate(self) -> int: ...

class ConnectionReport:
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # by the engine alone
    @property
    def id(self) -> int: ...
    @property
    def peer(self) -> str: ...
    @property
    def loop(self) -> int: ...
    @property
    def age(self) -> float: ...
    @property
    def requests(self) -> int: ...
    @property
    def state(self) -> str: ...  # "idle", "answering", "sending"
    @property
    def unsent_bytes(self) -> int: ...
    @property
    def tcp(self) -> TcpReport | None: ...

def listen_counters() -> ListenCounters | None: ...
def open_listening_socket(
    bind: str,
    backlog: int = 1024,
    reuse_port: bool = False,
    options: SocketOptions | None = None,
    index: int = 0,
    takes_over: bool = False,
) -> tuple[int, SocketReport]:
    """Open a listening socket for ``bind="fd://N"``: its descriptor, and what became of it.

    ``index``: which of several sockets on the address it is.
    Non-blocking, not inheritable, the caller's to close; a Unix path is the caller's to remove.
    ``fd://N`` is duplicated, or with ``takes_over`` used itself.
    """

def accept_queue(descriptor: int, family: int) -> AcceptQueue | None: ...
def receive_queue(descriptor: int) -> ReceiveQueue | None: ...

# --- requests and answers (types written against the C API) ----------------------------------------

@final
class RequestHeaders(Mapping[str, str]):
    """Read-only view of a request's fields; names in any letter case, values decoded as Latin-1."""

    def __getitem__(self, name: str, /) -> str: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    def get(self, name: str, default: Any = None, /) -> Any: ...
    def get_list(self, name: str, /) -> list[str]: ...
    def multi_items(self) -> list[tuple[str, str]]: ...

@final
class Request:
    method: str
    path: str
    target: str
    query_string: str
    http_version: str  # "1.1"
    headers: RequestHeaders
    path_params: dict[str, Any]
    query_params: Any  # millrace.http.QueryParams, made when asked for
    cookies: Any  # millrace.cookies.Cookies, made when asked for
    trailers: Headers  # of a body that has been read
    trace: Any  # millrace.trace.TraceContext, made when asked for
    client: tuple[str, int] | None  # behind proxies that filters trust
    scheme: str  # "http" or "https", as the client came
    body: bytes
    app: Any
    state: SimpleNamespace
    is_disconnected: bool
    def text(self) -> str: ...
    def json(self) -> Any: ...
    def stream(self) -> Any: ...
    def read(self) -> Awaitable[bytes]: ...
    def form(self, *, limits: Any = None) -> Any: ...  # millrace.forms.FormData, or awaitable
    def parts(self, *, limits: Any = None) -> Any: ...  # of millrace.forms.FormPart
    def save(
        self, path: str | PathLike[str], *, most_bytes: int | str = "128MB"
    ) -> Awaitable[int]: ...
    def json_lines(self, *, line_bytes: int | str = "1MB") -> Any: ...
    def early_hints(
        self, fields: Mapping[str, str] | list[tuple[str, str]] | Headers, /
    ) -> None: ...
    _form: Any  # what form() has read, or None
    @property
    def _form_limits(self) -> Any: ...  # millrace.forms.FormLimits, or None
    @property
    def _body_is_whole(self) -> bool: ...
    def _count_refusal(self) -> None: ...

class FormLimits:
    def __init__(self) -> None: ...
    parts: int
    part_head_bytes: int
    name_bytes: int
    field_bytes: int
    memory_bytes: int
    spool_bytes: int
    disk_bytes: int
    total_bytes: int
    pairs: int
    urlencoded_bytes: int

class BodySink: ...

class FormReader(BodySink):
    """A whole form, files above a size in one temporary file."""

    def __init__(self, content_type: bytes, limits: FormLimits, folder: str) -> None: ...
    def entries(
        self,
    ) -> list[
        tuple[tuple[bytes, bytes | None, bytes, list[tuple[bytes, bytes]]], bytes | tuple[int, int]]
    ]:
        """Name, file name, type and lines of each part, and its bytes or where they are."""
    def take_descriptor(self) -> int:
        """The temporary file; -1: there is none."""

class FileWriter(BodySink):
    """A body on its way into a file, which it takes over."""

    def __init__(self, descriptor: int, most_bytes: int) -> None: ...
    @property
    def size(self) -> int: ...

def read_into(request: Request, sink: BodySink) -> Any:
    """Awaitable: the request's body has gone into the sink."""

class PartsReader:
    """A multipart form, event by event."""

    def __init__(self, content_type: bytes, limits: FormLimits) -> None: ...
    def put(self, piece: bytes) -> None: ...
    def next(
        self,
    ) -> (
        tuple[bytes, bytes | None, bytes, list[tuple[bytes, bytes]]] | bytes | Literal[True] | None
    ):
        """A part's head, its bytes, True for its end; None: put() the next piece."""
    def finish(self) -> None: ...

@disjoint_base
class Headers:
    """A mutable, ordered list of fields; names in any letter case. Used by Response."""

    def __init__(
        self, fields: Mapping[str, str] | list[tuple[str, str]] | Headers | None = None
    ) -> None: ...
    def __getitem__(self, name: str, /) -> str: ...
    def __setitem__(self, name: str, value: str, /) -> None: ...
    def __delitem__(self, name: str, /) -> None: ...
    def __contains__(self, name: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def get(self, name: str, default: Any = None, /) -> Any: ...
    def add(self, name: str, value: str, /) -> None: ...
    def setdefault(self, name: str, value: str, /) -> str: ...
    def pop(self, name: str, default: Any = ..., /) -> Any: ...
    def update(
        self, fields: Mapping[str, str] | Iterable[tuple[str, str]] | Headers | None, /
    ) -> None: ...
    def get_list(self, name: str, /) -> list[str]: ...
    def multi_items(self) -> list[tuple[str, str]]: ...
    def keys(self) -> list[str]: ...
    def values(self) -> list[str]: ...
    def items(self) -> list[tuple[str, str]]: ...

@disjoint_base
class Response:
    def __init__(
        self,
        body: Any = b"",
        *,
        status: int = 200,
        headers: Any = None,
        content_type: str | None = None,
        background: Any = None,
        trailers: Mapping[str, str | Callable[[], str]] | None = None,
    ) -> None: ...
    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: int | timedelta | None = None,
        expires: datetime | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        http_only: bool = True,
        same_site: Literal["lax", "strict", "none"] | None = "lax",
        partitioned: bool = False,
    ) -> None: ...
    def delete_cookie(
        self,
        name: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        http_only: bool = True,
        same_site: Literal["lax", "strict", "none"] | None = "lax",
        partitioned: bool = False,
    ) -> None: ...
    def server_timing(
        self, name: str, seconds: float | None = None, description: str | None = None
    ) -> None: ...
    trailers: Mapping[str, str | Callable[[], str]] | None
    status: int
    headers: Headers
    body: Any
    content_type: str | None
    background: Any

@final
class OpenFile:
    """A regular file as the body of a Response, opened; OSError where there is none."""

    def __new__(cls, path: str | bytes | PathLike[str] | PathLike[bytes]) -> OpenFile: ...

def as_response(result: Any, /) -> Response:
    """What a handler returned, as a Response (middleware sees these)."""

def encode_json(value: Any, /) -> bytes: ...

class StaticFiles:
    """The files of a folder, as the target of a route."""

    def __init__(self) -> None: ...
    directory: str
    index: str  # empty: none
    fallback: str  # empty: none
    precompressed: bool
    dot_files: bool
    cache_control: list[tuple[str, str]]
    media_types: list[tuple[str, str]]

# --- interpreters ----------------------------------------------------------------------------------

class Interpreter:
    """Another interpreter of this process, with a GIL of its own. From Python 3.13 on.

    It lives on a thread of its own, which calls functions in it one after the other.
    """

    def __init__(self, path: Sequence[str]) -> None: ...
    def call(self, module: str, function: str, argument: bytes) -> bytes:
        """Call a function of a module there; RuntimeError with the text of what it raises."""

    def end(self) -> None:
        """Leave it as a program ends: threads are waited for, atexit functions are called."""

# --- the server -----------------------------------------------------------------------------------

class Filter:
    """One filter of a server; the engine names the kinds and what settings each wants.

    prefix: of the paths that it sees, without a slash at its end; empty for all.
    """

    def __init__(
        self,
        kind: str,
        prefix: str,
        settings: Mapping[str, bool | int | float | str | Sequence[str]],
    ) -> None: ...

class Route:
    """One row of the router.

    kind: "constant" (target is a Response with a bytes body), "function" or "coroutine"
    (target is called with a Request; async generator functions are "coroutine"), "work" (target
    is a NativeWork), "static" (target is a StaticFiles), or "metrics" (target is None).
    """

    def __init__(self, methods: list[str], pattern: str, kind: str, target: Any) -> None: ...

class AppHooks:
    """What the engine asks Python for, off the hot path."""

    def __init__(
        self,
        *,
        app: Any,
        on_exception: Callable[[Request, BaseException], Any],
        on_background: Callable[[Any], None],
        form_limits: Any = None,
    ) -> None: ...

class RecorderOptions:
    """What a server records about its requests, beside the journey."""

    def __init__(self) -> None: ...
    metrics: bool
    max_series: int
    def add_log(self, format: str, lines: LineQueue) -> None: ...
    def log_slow(self, seconds: float, lines: LineQueue) -> None: ...

class LineQueue:
    """Log lines from the loops to one thread; ``write_to`` and ``take`` release the GIL."""

    def __init__(self, ring_bytes: int) -> None: ...
    def write_to(self, descriptor: int) -> str:
        """How it ended: "closed", "interrupted", "failed" (see ``error``) or "recovered"."""
    def take(self) -> bytes:
        """Whole lines; none: closed."""
    def interrupt(self) -> None: ...
    def close(self) -> None: ...
    @property
    def error(self) -> int: ...
    @property
    def lines(self) -> int: ...
    @property
    def dropped(self) -> int: ...

def check_log_format(format: str) -> None:
    """Raise ValueError for a directive that is not known."""

class Server:
    """Life: listen, run_loops, accept, stop_accepting, drain, stop_loops; none may be called on a loop."""

    def __init__(
        self,
        options: ServerOptions,
        routes: list[Route],
        hooks: AppHooks,
        recorders: RecorderOptions = ...,
    ) -> None: ...
    def listen(self) -> None: ...  # OSError subclass or ValueError
    def run_loops(self) -> None: ...
    def accept(self) -> None: ...
    def stop_accepting(self) -> None: ...
    def drain(self, seconds: float) -> int: ...
    def under_way(self, most: int, seconds: float) -> tuple[list[tuple[str, float]], int]:
        """The oldest requests as ("GET /path", its `time.monotonic`), and how many loops did not answer."""
    def retire(self, seconds: float) -> int:
        """As drain, but idle connections stay for one more request, whose answer says close.

        Returns the connections that are left.
        """
    def stop_loops(self) -> None: ...
    @property
    def endpoints(self) -> list[str]: ...  # "127.0.0.1:8000", "unix:/path"
    @property
    def ports(self) -> list[int]: ...
    def asyncio_loop(self) -> Any:
        """The asyncio loop that runs coroutines; starts it where the app needed none so far."""
    def stats(self) -> dict[str, Any]: ...  # see millrace.observe.Stats
    def metrics(self) -> list[_FamilyRow]: ...  # see millrace.metrics
    def socket_reports(self) -> list[SocketReport]: ...
    def accept_queues(self) -> list[QueueReport]: ...
    def receive_queues(self) -> list[ReceiveQueueReport]: ...
    def listening_descriptors(self) -> list[int]: ...  # bind by bind; the server's own
    def leave_paths(self) -> None:
        """Keep Unix paths when the sockets close: another process listens there."""
    def connections(self, most: int, seconds: float) -> tuple[list[ConnectionReport], int]: ...
    def journey(self) -> JourneySnapshot: ...
    def reset_journey(self) -> None: ...

# --- plain TCP ------------------------------------------------------------------------------------

class Framing:
    def __init__(self) -> None:
        """No messages: whatever a read brings."""
    @staticmethod
    def lines(*, max_bytes: int = 65536) -> Framing: ...
    @staticmethod
    def length_prefixed(*, bytes: int = 4, max_bytes: int = 65536) -> Framing: ...
    @property
    def max_bytes(self) -> int: ...
    @property
    def prefix_bytes(self) -> int: ...
    @property
    def is_none(self) -> bool: ...
    def __getstate__(self) -> tuple[int, int, int]: ...
    def __setstate__(self, state: tuple[int, int, int], /) -> None: ...

class StreamOptions:
    def __init__(self) -> None: ...
    framing: Framing
    high_water_bytes: int
    low_water_bytes: int
    idle_timeout: float  # seconds; 0: never
    write_timeout: float

class TcpServerOptions:
    def __init__(self) -> None: ...
    bind: list[str]
    recipe: Recipe
    backlog: int
    socket: SocketOptions
    max_connections: int
    max_connections_per_address: int  # 0: no limit
    handler_stuck: float  # seconds; 0: nobody watches
    stream: StreamOptions

@final
class Conversation:
    """A connection; any thread. A take gives bytes, False at the peer's end, None: wait() and ask again."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # made by the engine alone
    def take_message(self, count: int = 0) -> Any: ...
    def take_some(self, count: int) -> Any: ...
    def take_exactly(self, count: int) -> Any: ...
    def take_line(self, count: int) -> Any: ...
    def wait(self, seconds: float) -> bool: ...  # without the GIL; False: no news in time
    def write(self, data: Any) -> bool: ...  # False: has_room() is to be waited for
    def write_at_once(self, data: Any) -> bool: ...  # where this thread may block next
    def has_room(self) -> bool: ...
    def finish(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
    def raise_failure(self) -> None: ...
    @property
    def is_closed(self) -> bool: ...
    @property
    def unsent_bytes(self) -> int: ...
    @property
    def number(self) -> int: ...
    @property
    def peer(self) -> tuple[str, int] | str | None: ...

class Bell:
    """A descriptor that becomes readable with each news of a conversation."""

    def __init__(self, conversation: Conversation | DatagramConversation) -> None: ...
    def fileno(self) -> int: ...
    def silence(self) -> None: ...

def serve_function(options: TcpServerOptions, target: Any) -> Server: ...
def serve_coroutine(options: TcpServerOptions, target: Any) -> Server: ...
def serve_echo(options: TcpServerOptions, target: Any) -> Server: ...
def connect(
    address: str, timeout: float, options: StreamOptions, socket: SocketOptions
) -> Conversation: ...

# --- UDP ------------------------------------------------------------------------------------------

class UdpServerOptions:
    def __init__(self) -> None: ...
    bind: list[str]
    recipe: Recipe
    batch: int
    datagram_bytes: int
    unsent_datagrams: int
    socket: SocketOptions
    counts_losses: bool
    calls: int
    handler_stuck: float  # seconds; 0: nobody watches
    def check(self) -> None: ...

def open_datagram_socket(
    bind: str, reuse_port: bool, options: SocketOptions, index: int
) -> tuple[int, SocketReport]: ...
def serve_datagrams(options: UdpServerOptions, target: Any) -> Server: ...
def serve_datagram_coroutine(options: UdpServerOptions, target: Any) -> Server: ...
def serve_datagram_echo(options: UdpServerOptions, target: Any) -> Server: ...

class UdpClientOptions:
    def __init__(self) -> None: ...
    unread_datagrams: int
    socket: SocketOptions
    def check(self) -> None: ...

@final
class DatagramConversation:
    """UDP with one peer; any thread. None of a take: wait() and ask again."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...  # made by the engine alone
    def take_one(self) -> bytes | None: ...
    def take(self, most: int) -> list[bytes] | None: ...
    def send_one(self, data: Any) -> bool: ...  # False: wait() for room
    def send(self, datagrams: list[Any], begin: int) -> int: ...  # fewer than there are: likewise
    def wait(self, seconds: float) -> bool: ...  # without the GIL; False: no news in time
    def socket_reports(self) -> list[SocketReport]: ...
    def close(self) -> None: ...
    def counters(self) -> dict[str, int]: ...
    @property
    def is_closed(self) -> bool: ...
    @property
    def peer(self) -> tuple[str, int]: ...

def connect_datagrams(address: str, options: UdpClientOptions) -> DatagramConversation: ...

# --- where the time goes --------------------------------------------------------------------------

class Histogram:
    """Counts of durations in nanoseconds, log-linear, at most 1.6 % off. Merged by ``add``."""

    def __init__(self) -> None: ...
    def record(self, nanoseconds: int, count: int = 1) -> None: ...
    def add(self, other: Histogram) -> None: ...
    @property
    def count(self) -> int: ...
    @property
    def min(self) -> int: ...
    @property
    def max(self) -> int: ...
    @property
    def mean(self) -> float: ...
    def percentile(self, percent: float) -> int: ...
    def count_above(self, nanoseconds: int) -> int: ...
    def buckets(self) -> list[tuple[int, int, int]]:
        """Non-empty buckets: lowest value, highest value, count."""
    def to_hdr(self) -> bytes:
        """HdrHistogram's V2 encoding, not yet compressed (see millrace.observe.Durations)."""

class StageSnapshot:
    def __init__(self) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def meaning(self) -> str: ...
    @property
    def histogram(self) -> Histogram: ...

class JourneySnapshot:
    def __init__(self) -> None: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def requests(self) -> int: ...
    @property
    def stages(self) -> list[StageSnapshot]: ...

# --- metrics --------------------------------------------------------------------------------------

# Labels, value, buckets.
_SampleRow: TypeAlias = tuple[list[tuple[str, str]], float, list[int]]
# Name, help, kind, how several processes combine, bounds, samples.
_FamilyRow: TypeAlias = tuple[str, str, str, str, list[float], list[_SampleRow]]

def merge_metrics(several: list[list[_FamilyRow]]) -> list[_FamilyRow]: ...
def render_metrics(metrics: list[_FamilyRow]) -> str:
    """Prometheus' text exposition format, version 0.0.4."""

# --- handlers with a known price ------------------------------------------------------------------

class NativeWork:
    """A native handler that computes, then waits, then answers "done"; durations in seconds.

    One request in each run of 1 / slow_fraction is slow, at a place that the seed draws.
    """

    def __init__(
        self,
        *,
        cpu_seconds: float = 0.0,
        wait_seconds: float = 0.0,
        slow_fraction: float = 0.0,
        slow_cpu_seconds: float = 0.0,
        slow_wait_seconds: float = 0.0,
        seed: int = 1,
    ) -> None: ...
    def __getstate__(self) -> tuple[int, int, int, int, float, int]: ...
    def __setstate__(self, state: tuple[int, int, int, int, float, int], /) -> None: ...
    def is_slow(self, ordinal: int) -> bool: ...

# --- load -----------------------------------------------------------------------------------------

class LoadOptions:
    def __init__(self) -> None: ...
    connections: int
    threads: int
    rate: float  # requests per second over all connections; 0: closed loop
    arrivals: str  # "constant" or "poisson"; open loop only
    duration: float  # seconds; 0: until `requests`
    requests: int  # 0: until `duration`
    warmup: float  # seconds that are not recorded
    timeout: float
    seed: int
    method: str
    headers: list[tuple[str, str]]
    body: bytes
    expect_body: bytes | None  # what the body of every 2xx answer has to be

class LoadRun:
    """A load run on threads of its own; ``wait`` releases the GIL."""

    def __init__(self, url: str, options: LoadOptions) -> None: ...
    def start(self) -> None: ...
    def wait(self, seconds: float) -> bool:
        """True when it is over."""
    def stop(self) -> None: ...
    def progress(self) -> dict[str, float]: ...  # elapsed, requests, errors, in_flight
    def result(self) -> dict[str, Any]:
        """See millrace.lab.load.Load; raises where no connection could be made at all."""
