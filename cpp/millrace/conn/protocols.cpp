#include "millrace/conn/protocols.hpp"

#include <array>

#include "millrace/proto/http1/codec.hpp"

namespace millrace::conn {
namespace {

constexpr std::array table{
    Protocol{"h1", "http/1.1",
             [](const CodecSettings& s, base::Time now) {
               return http1::make_codec(s.side, s.limits, s.date, now);
             }},
};

}  // namespace

std::span<const Protocol> protocols() { return table; }

const Protocol* find_protocol(std::string_view name) {
  for (auto const& row : table)
    if (row.name == name) return &row;
  return nullptr;
}

}  // namespace millrace::conn
