// What the counters of a loop are called, and what they mean, for those who show them.
#pragma once
#include <array>
#include <string_view>

#include "millrace/trace/counters.hpp"

namespace millrace::trace {

struct CounterRow {
  std::string_view name;  // static text, zero at its end; ends in _ns where it is nanoseconds
  Counter LoopCounters::*counter;
  std::string_view meaning;
};

inline constexpr std::array loop_counter_rows{
    CounterRow{"waits", &LoopCounters::waits, "Returns from epoll_wait."},
    CounterRow{"events", &LoopCounters::events, "Descriptors that these returns named."},
    CounterRow{"accepts", &LoopCounters::accepts, "Connections taken from a listening socket."},
    CounterRow{"accept_misses", &LoopCounters::accept_misses,
               "Woken to accept, but another loop had been faster."},
    CounterRow{"accept_failures", &LoopCounters::accept_failures,
               "Accepts that failed: descriptors or memory ran out."},
    CounterRow{"connections_opened", &LoopCounters::connections_opened,
               "Connections that came to live on the loop."},
    CounterRow{"connections_open", &LoopCounters::connections_open,
               "Connections that are open now."},
    CounterRow{"connections_refused", &LoopCounters::connections_refused,
               "Connections turned away with 503: there were too many."},
    CounterRow{"connections_refused_address", &LoopCounters::connections_refused_address,
               "Connections turned away with 503: their client's address had too many."},
    CounterRow{"connections_used_up", &LoopCounters::connections_used_up,
               "Connections told to close: they had brought as many requests as one may."},
    CounterRow{"connections_aged", &LoopCounters::connections_aged,
               "Connections told to close: they had been open as long as one may be."},
    CounterRow{"connections_lingered", &LoopCounters::connections_lingered,
               "Connections closed while their client was sending; the rest was swallowed."},
    CounterRow{"requests", &LoopCounters::requests, "Requests answered in full."},
    CounterRow{"requests_native", &LoopCounters::requests_native,
               "Of these, answered without entering Python."},
    CounterRow{"requests_refused", &LoopCounters::requests_refused,
               "Requests answered 503: the queue was full, or too many were in flight."},
    CounterRow{"requests_failed", &LoopCounters::requests_failed,
               "Requests whose handler raised, or whose answer could not be sent."},
    CounterRow{"requests_abandoned", &LoopCounters::requests_abandoned,
               "Requests whose client left before the answer."},
    CounterRow{"protocol_errors", &LoopCounters::protocol_errors, "Messages refused."},
    CounterRow{"heads_too_large", &LoopCounters::heads_too_large,
               "Of these, heads, targets and trailer sections above their limits."},
    CounterRow{"bodies_too_large", &LoopCounters::bodies_too_large,
               "Of these, bodies to be read as a whole that were above the limit."},
    CounterRow{"timeouts", &LoopCounters::timeouts,
               "Connections ended by a deadline while a request was under way."},
    CounterRow{"header_timeouts", &LoopCounters::header_timeouts,
               "Of these, those whose head had not come."},
    CounterRow{"body_timeouts", &LoopCounters::body_timeouts,
               "Of these, those whose body did not come, or too slowly."},
    CounterRow{"write_timeouts", &LoopCounters::write_timeouts,
               "Of these, those that did not take their answer, or too slowly."},
    CounterRow{"idle_timeouts", &LoopCounters::idle_timeouts,
               "Connections closed that brought no request for a while."},
    CounterRow{"outputs_held_back", &LoopCounters::outputs_held_back,
               "Times a slow client's answer was held back until it had taken some."},
    CounterRow{"answers_not_modified", &LoopCounters::answers_not_modified,
               "Of the requests answered, those with 304: what the client has is up to date."},
    CounterRow{"answers_partial", &LoopCounters::answers_partial,
               "Of the requests answered, those with 206: parts of what there is."},
    CounterRow{"files_opened", &LoopCounters::files_opened, "Files opened to answer requests."},
    CounterRow{"files_cut_short", &LoopCounters::files_cut_short,
               "Connections aborted: the file had become shorter than its answer had promised."},
    CounterRow{"sendfiles", &LoopCounters::sendfiles, "Calls of sendfile."},
    CounterRow{"sendfile_bytes", &LoopCounters::sendfile_bytes,
               "Bytes that sendfile sent; they are part of bytes_out."},
    CounterRow{"messages_in", &LoopCounters::messages_in,
               "Of plain TCP and UDP: messages, or what one read brought."},
    CounterRow{"messages_out", &LoopCounters::messages_out, "Of plain TCP and UDP: messages sent."},
    CounterRow{"reads", &LoopCounters::reads, "Calls of recv."},
    CounterRow{"writes", &LoopCounters::writes, "Calls of send."},
    CounterRow{"partial_writes", &LoopCounters::partial_writes,
               "Calls of send or sendfile that took less than all."},
    CounterRow{"reads_blocked", &LoopCounters::reads_blocked, "Calls of recv that found nothing."},
    CounterRow{"writes_blocked", &LoopCounters::writes_blocked,
               "Calls of send or sendfile that found the kernel's buffer full."},
    CounterRow{"bytes_copied", &LoopCounters::bytes_copied,
               "Of plain TCP and UDP: bytes held as their message or reader was not ready."},
    CounterRow{"datagrams_joined", &LoopCounters::datagrams_joined,
               "Of UDP: datagrams that went through the kernel in groups."},
    CounterRow{"datagrams_too_large", &LoopCounters::datagrams_too_large,
               "Datagrams above the limit, which were dropped."},
    CounterRow{"datagrams_dropped", &LoopCounters::datagrams_dropped,
               "Datagrams and answers dropped for want of room, or refused by the kernel."},
    CounterRow{"datagrams_lost", &LoopCounters::datagrams_lost,
               "Datagrams that the kernel dropped, its receive buffer being full."},
    CounterRow{"bytes_in", &LoopCounters::bytes_in, "Bytes received."},
    CounterRow{"bytes_out", &LoopCounters::bytes_out, "Bytes sent."},
    CounterRow{"wakeups", &LoopCounters::wakeups, "Times another thread woke the loop."},
    CounterRow{"gil_waits", &LoopCounters::gil_waits, "Times the GIL was taken."},
    CounterRow{"gil_wait_ns", &LoopCounters::gil_wait_ns, "Time spent waiting for the GIL."},
};
static_assert(sizeof(LoopCounters) == loop_counter_rows.size() * sizeof(Counter),
              "every counter has its row");

}  // namespace millrace::trace
