// The journey of a request: its stages, each defined by the two moments it lies between.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "millrace/base/time.hpp"

namespace millrace::trace {

// Moments that are stamped. A moment that did not happen stays 0.
enum class Moment : std::uint8_t {
  ready,            // the wait returned: the kernel said that bytes are there
  received,         // they are in our buffer
  decrypted,        // TLS gave plain bytes back
  head_parsed,      // the head is whole and has been checked
  body_complete,    // the body is whole, codings undone (buffered bodies only)
  queued,           // handed to another thread
  handler_started,  // routing and filters included where they run on the same thread
  handler_done,     // the answer is known (streams: its head)
  encoded,          // the answer's bytes stand in the output chain
  encrypted,        // TLS made records of them
  written,          // the kernel took the last byte
  count_,
};

enum class Stage : std::uint8_t {
  accept,
  read,
  decrypt,
  parse,
  decode,
  queue,
  process,
  encode,
  encrypt,
  write,
  total,
  count_
};

constexpr std::size_t stage_count = static_cast<std::size_t>(Stage::count_);
constexpr std::size_t moment_count = static_cast<std::size_t>(Moment::count_);

struct StageRow {
  Stage stage;
  std::string_view name;
  std::string_view meaning;
  // The stage ends at `to`; it begins at the latest stamped moment of `from` (first one present
  // wins).
  std::array<Moment, 3> from;
  Moment to;
};

// Stage::accept belongs to a connection, not to a request: it lies between the wake-up that
// announced the connection and its arrival on its home loop, and has no row here.
inline constexpr std::array stage_rows{
    StageRow{Stage::read,
             "read",
             "wait returned -> bytes in hand",
             {Moment::ready, Moment::ready, Moment::ready},
             Moment::received},
    StageRow{Stage::decrypt,
             "decrypt",
             "bytes in hand -> plain bytes",
             {Moment::received, Moment::received, Moment::received},
             Moment::decrypted},
    StageRow{Stage::parse,
             "parse",
             "bytes in hand -> head checked",
             {Moment::decrypted, Moment::received, Moment::received},
             Moment::head_parsed},
    StageRow{Stage::decode,
             "decode",
             "head checked -> body whole",
             {Moment::head_parsed, Moment::head_parsed, Moment::head_parsed},
             Moment::body_complete},
    StageRow{Stage::queue,
             "queue",
             "handed over -> handler started",
             {Moment::queued, Moment::queued, Moment::queued},
             Moment::handler_started},
    StageRow{Stage::process,
             "process",
             "handler started -> answer known",
             {Moment::handler_started, Moment::handler_started, Moment::handler_started},
             Moment::handler_done},
    StageRow{Stage::encode,
             "encode",
             "answer known -> bytes ready (the way home from a worker included)",
             {Moment::handler_done, Moment::handler_done, Moment::handler_done},
             Moment::encoded},
    StageRow{Stage::encrypt,
             "encrypt",
             "bytes ready -> TLS records",
             {Moment::encoded, Moment::encoded, Moment::encoded},
             Moment::encrypted},
    StageRow{Stage::write,
             "write",
             "bytes ready -> kernel took the last one",
             {Moment::encrypted, Moment::encoded, Moment::encoded},
             Moment::written},
    StageRow{Stage::total,
             "total",
             "wait returned -> kernel took the last byte",
             {Moment::ready, Moment::received, Moment::head_parsed},
             Moment::written},
};

// The stamps of one request.
struct Stamps {
  std::array<base::Time, moment_count> at{};

  void stamp(Moment moment, base::Time when) { at[static_cast<std::size_t>(moment)] = when; }
  base::Time operator[](Moment moment) const { return at[static_cast<std::size_t>(moment)]; }
  // Nanoseconds, or -1 where the stage did not occur.
  base::Duration duration(const StageRow& row) const {
    auto const end = (*this)[row.to];
    if (end == 0) return -1;
    for (auto moment : row.from)
      if (auto const begin = (*this)[moment]; begin != 0) return end >= begin ? end - begin : 0;
    return -1;
  }
};

}  // namespace millrace::trace
