// Forms as Python sees them: tuples of bytes, since only it knows their charsets.
#pragma once
#include <pybind11/pybind11.h>

#include "unwrap.hpp"

#include "millrace/server/form_reader.hpp"

namespace millrace::bindings {

inline pybind11::object none_or_bytes(const std::optional<std::string>& text) {
  if (!text) return pybind11::none();
  return pybind11::bytes(*text);
}

// (name, filename or None, content type, [(name, value), ...])
inline pybind11::tuple tuple_of(const forms::PartHead& head) {
  pybind11::list lines;
  for (auto const& [name, value] : head.lines)
    lines.append(pybind11::make_tuple(pybind11::bytes(name), pybind11::bytes(value)));
  return pybind11::make_tuple(pybind11::bytes(head.name), none_or_bytes(head.filename),
                              pybind11::bytes(head.content_type), lines);
}

// [(head, bytes or (offset, size)), ...]
inline pybind11::list entries_of(server::FormReader& reader) {
  pybind11::list list;
  for (auto const& entry : reader.take_entries()) {
    pybind11::object const content =
        entry.is_spooled ? pybind11::object(pybind11::make_tuple(entry.spooled_at, entry.size))
                         : pybind11::object(pybind11::bytes(entry.bytes));
    list.append(pybind11::make_tuple(tuple_of(entry.head), content));
  }
  return list;
}

// A parser, and the piece that it is looking at.
struct PartsReader {
  forms::MultipartParser parser;
  pybind11::bytes piece;
};

inline std::unique_ptr<PartsReader> parts_reader(const std::string& content_type,
                                                 const forms::FormLimits& limits) {
  auto const type = unwrap(forms::read_form_type(content_type));
  if (type.kind != forms::FormType::Kind::multipart)
    throw_error({base::Errc::unsupported_media_type, "RFC 9110 15.5.16",
                 "only multipart/form-data has parts"});
  return std::make_unique<PartsReader>(forms::MultipartParser(type.boundary, limits),
                                       pybind11::bytes());
}

inline void put(PartsReader& reader, const pybind11::bytes& piece) {
  reader.piece = piece;
  unwrap(reader.parser.put(static_cast<std::string_view>(piece)));
}

// A part's head, its data, True for its end, None: put() more.
inline pybind11::object next_of(PartsReader& reader) {
  using Kind = forms::MultipartParser::Event::Kind;
  auto const event = unwrap(reader.parser.next());
  switch (event.kind) {
    case Kind::part:
      return tuple_of(reader.parser.take_head());
    case Kind::data:
      return pybind11::bytes(event.data.data(), event.data.size());
    case Kind::part_end:
      return pybind11::bool_(true);
    case Kind::more:
      break;
  }
  return pybind11::none();
}

}  // namespace millrace::bindings
