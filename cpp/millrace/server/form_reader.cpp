#include "millrace/server/form_reader.hpp"

namespace millrace::server {

using base::ByteView;
using base::Status;
using forms::FormType;
using forms::MultipartParser;
using forms::past_limit;
using forms::UrlencodedParser;

namespace {

std::variant<UrlencodedParser, MultipartParser> parser_for(const FormType& type,
                                                           const forms::FormLimits& limits) {
  if (type.kind == FormType::Kind::urlencoded) return UrlencodedParser(limits);
  return MultipartParser(type.boundary, limits);
}

}  // namespace

base::Result<std::unique_ptr<FormReader>> FormReader::make(ByteView content_type,
                                                           const forms::FormLimits& limits,
                                                           std::string folder) {
  auto type = forms::read_form_type(content_type);
  if (!type) return type.take_status();
  return std::unique_ptr<FormReader>(new FormReader(*type, limits, std::move(folder)));
}

FormReader::FormReader(const FormType& type, const forms::FormLimits& limits, std::string folder)
    : limits_(limits), folder_(std::move(folder)), parser_(parser_for(type, limits)) {}

Status FormReader::expect(std::uint64_t bytes) {
  bool const is_urlencoded = std::holds_alternative<UrlencodedParser>(parser_);
  if (is_urlencoded && bytes > limits_.urlencoded_bytes)
    return past_limit("urlencoded_bytes", limits_.urlencoded_bytes);
  if (bytes > limits_.total_bytes) return past_limit("total_bytes", limits_.total_bytes);
  return {};
}

Status FormReader::put(ByteView piece) {
  if (auto* const pairs = std::get_if<UrlencodedParser>(&parser_)) return pairs->put(piece);
  return put_multipart(std::get<MultipartParser>(parser_), piece);
}

Status FormReader::put_multipart(MultipartParser& parser, ByteView piece) {
  using Kind = MultipartParser::Event::Kind;
  auto status = parser.put(piece);
  while (status) {
    auto event = parser.next();
    if (!event) return event.take_status();
    switch (event->kind) {
      case Kind::more:
        return {};
      case Kind::part:
        status = begin_part(parser.take_head());
        break;
      case Kind::data:
        status = add(event->data);
        break;
      case Kind::part_end:
        is_spooling_ = false;
    }
  }
  return status;
}

Status FormReader::begin_part(forms::PartHead head) {
  std::size_t size = head.name.size() + head.filename.value_or("").size();
  for (auto const& [name, value] : head.lines) size += name.size() + value.size();
  auto& entry = entries_.emplace_back();
  entry.head = std::move(head);
  return take_memory(size);
}

Status FormReader::add(ByteView data) {
  auto& entry = entries_.back();
  bool const is_file = entry.head.filename.has_value();
  entry.size += data.size();
  if (!is_file && entry.size > limits_.field_bytes)
    return past_limit("field_bytes", limits_.field_bytes);
  bool const has_room = data.size() <= limits_.memory_bytes - in_memory_;
  if (is_file && (is_spooling_ || entry.size > limits_.spool_bytes || !has_room))
    return spool(data);
  if (auto status = take_memory(data.size()); !status) return status;
  entry.bytes.append(data);
  return {};
}

Status FormReader::spool(ByteView data) {
  auto& entry = entries_.back();
  if (spool_.size() + entry.bytes.size() + data.size() > limits_.disk_bytes)
    return past_limit("disk_bytes", limits_.disk_bytes);
  if (!spool_.is_open()) {
    auto opened = net::SpoolFile::open(folder_);
    if (!opened) return opened.take_status();
    spool_ = std::move(*opened);
  }
  if (!is_spooling_) {
    is_spooling_ = entry.is_spooled = true;
    entry.spooled_at = spool_.size();
    if (auto status = spool_.append(entry.bytes); !status) return status;
    in_memory_ -= entry.bytes.size();
    entry.bytes = {};
  }
  return spool_.append(data);
}

Status FormReader::take_memory(std::size_t bytes) {
  if (bytes > limits_.memory_bytes - in_memory_)
    return past_limit("memory_bytes", limits_.memory_bytes);
  in_memory_ += bytes;
  return {};
}

Status FormReader::finish() {
  if (auto* const parser = std::get_if<MultipartParser>(&parser_)) return parser->finish();
  auto& urlencoded = std::get<UrlencodedParser>(parser_);
  if (auto status = urlencoded.finish(); !status) return status;
  for (auto const& pair : urlencoded.pairs()) {
    auto& entry = entries_.emplace_back();
    entry.head.name = pair.name;
    entry.bytes = pair.value;
    entry.size = pair.value.size();
  }
  return {};
}

}  // namespace millrace::server
