#include "millrace/proto/http1/encode.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "millrace/proto/http/status.hpp"

namespace millrace::http1 {
namespace {

using base::ByteChain;
using base::Bytes;
using base::ByteView;
using http::FieldId;
using http::Fields;

// "HTTP/1.1 200 OK\r\n" for every status that has a row, made at compile time.
struct StatusLine {
  std::array<char, 56> text{};
  std::size_t size = 0;  // a type that bounds it would have its copy made byte by byte

  constexpr void put(std::string_view part) {
    for (char c : part) text[size++] = c;
  }
  ByteView view() const { return {text.data(), size}; }
};
constexpr auto status_lines = [] {
  std::array<StatusLine, http::status_rows.size()> lines{};
  for (std::size_t i = 0; i < lines.size(); ++i) {
    auto const [status, reason] = http::status_rows[i];
    std::array<char, 4> const digits{static_cast<char>('0' + status / 100),
                                     static_cast<char>('0' + status / 10 % 10),
                                     static_cast<char>('0' + status % 10), ' '};
    lines[i].put("HTTP/1.1 ");
    lines[i].put({digits.data(), digits.size()});
    lines[i].put(reason);
    lines[i].put("\r\n");
  }
  return lines;
}();

char* put(char* p, ByteView text) {
  if (text.empty()) return p;  // memcpy wants pointers even for nothing
  std::memcpy(p, text.data(), text.size());
  return p + text.size();
}

char* put_decimal(char* p, std::uint64_t value) {
  std::array<char, 20> digits;
  auto* const end = digits.data() + digits.size();
  auto* first = end;
  do *--first = static_cast<char>('0' + value % 10);
  while ((value /= 10) != 0);
  return put(p, {first, static_cast<std::size_t>(end - first)});
}

char* put_status_line(char* p, std::uint16_t status) {
  auto const row =
      status < http::status_row_at.size() ? http::status_row_at[status] : http::no_status_row;
  if (row != http::no_status_row) return put(p, status_lines[row].view());
  p = put(p, "HTTP/1.1 ");
  p = put_decimal(p, status);
  return put(p, " \r\n");  // RFC 9112 4: the space stays where the reason is empty
}

// The most that put_own writes: date, length or coding, connection, upgrade.
constexpr std::size_t own_bytes = 160;

char* put_own(char* p, const OwnFields& own, bool with_date) {
  if (with_date) p = put(p, {own.date->text, own.date->size});
  if (own.length) {
    p = put(p, "Content-Length: ");
    p = put_decimal(p, *own.length);
    p = put(p, "\r\n");
  }
  if (own.is_chunked) p = put(p, "Transfer-Encoding: chunked\r\n");
  switch (own.connection) {
    case OwnFields::Connection::nothing:
      break;
    case OwnFields::Connection::close:
      p = put(p, "Connection: close\r\n");
      break;
    case OwnFields::Connection::keep_alive:
      p = put(p, "Connection: keep-alive\r\n");
      break;
  }
  return p;
}

bool either_holds(const Fields* preset, const Fields& fields, FieldId id) {
  return (preset && preset->holds(id)) || fields.holds(id);
}

void append_without_length(std::string& text, const Fields& fields) {
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (fields.id(i) != FieldId::content_length)
      text.append(fields.name(i)).append(": ").append(fields.value(i)).append("\r\n");
}

// `start` is the start line and what belongs right behind it. Everything fits one block in the
// usual case.
template <class PutStart>
void write_head(ByteChain& out, std::size_t start_bytes, PutStart put_start, const OwnFields& own,
                const Fields* preset, const Fields& fields, Bytes body) {
  constexpr ByteView upgrade_option = "Connection: upgrade\r\n";
  auto preset_text = preset ? preset->http1_text() : ByteView{};
  auto text = fields.http1_text();
  std::string kept;
  if (own.omits_length && either_holds(preset, fields, FieldId::content_length)) {
    if (preset) append_without_length(kept, *preset);
    append_without_length(kept, fields);
    preset_text = {};
    text = kept;
  }
  // RFC 9110 7.8: whoever sends Upgrade names it in Connection.
  bool const adds_upgrade = either_holds(preset, fields, FieldId::upgrade) &&
                            !either_holds(preset, fields, FieldId::connection);
  bool const with_date =
      own.date && own.date->size != 0 && !either_holds(preset, fields, FieldId::date);

  auto const fixed = start_bytes + own_bytes + upgrade_option.size() + 2;
  auto const head_most = fixed + preset_text.size() + text.size();
  bool const copies_body = body.size() <= ByteChain::copy_below;
  bool const is_one_piece = head_most + (copies_body ? body.size() : 0) <= base::Block::capacity;
  auto const reserved = is_one_piece ? head_most + (copies_body ? body.size() : 0) : fixed;

  char* const begin = out.reserve(reserved);
  char* p = put_own(put_start(begin), own, with_date);
  if (adds_upgrade) p = put(p, upgrade_option);
  if (!is_one_piece) {
    out.commit(static_cast<std::size_t>(p - begin));
    out.append(preset_text);
    out.append(text);
    out.append(ByteView("\r\n"));
    out.append(std::move(body));
    return;
  }
  p = put(p, preset_text);
  p = put(p, text);
  p = put(p, "\r\n");
  if (copies_body) p = put(p, body.view());
  out.commit(static_cast<std::size_t>(p - begin));
  if (!copies_body) out.append(std::move(body));
}

}  // namespace

void write_response(ByteChain& out, const http::ResponseHead& head, const OwnFields& own,
                    Bytes body) {
  auto const start = [&head](char* p) { return put_status_line(p, head.status); };
  write_head(out, sizeof(StatusLine), start, own, head.preset, head.fields, std::move(body));
}

void write_request(ByteChain& out, const http::RequestHead& head, const OwnFields& own,
                   Bytes body) {
  auto const name =
      head.method == http::Method::other ? ByteView(head.method_text) : http::name_of(head.method);
  bool const with_host = !either_holds(head.preset, head.fields, FieldId::host);
  auto const host = with_host ? ByteView(head.authority) : ByteView{};
  auto const start = [&](char* p) {
    p = put(put(put(p, name), " "), head.target);
    p = put(p, " HTTP/1.1\r\n");
    return with_host ? put(put(put(p, "Host: "), host), "\r\n") : p;
  };
  constexpr std::size_t punctuation = 32;
  auto const start_bytes = name.size() + head.target.size() + host.size() + punctuation;
  if (start_bytes <= ByteChain::copy_below) {
    write_head(out, start_bytes, start, own, head.preset, head.fields, std::move(body));
    return;
  }
  // A target may be longer than a block.
  std::string line(start_bytes, '\0');
  line.resize(static_cast<std::size_t>(start(line.data()) - line.data()));
  out.append(ByteView(line));
  write_head(
      out, 0, [](char* p) { return p; }, own, head.preset, head.fields, std::move(body));
}

std::size_t write_refusal(ByteChain& out, std::uint16_t status, const http::DateField* date,
                          bool with_body) {
  static const Fields text_plain{{"Content-Type", "text/plain; charset=utf-8"}};
  std::string text(http::reason_phrase(status));
  text += '\n';
  OwnFields const own{
      .date = date, .length = text.size(), .connection = OwnFields::Connection::close};
  http::ResponseHead const head{
      .status = status, .preset = &text_plain, .fields = {}, .content_length = {}};
  write_response(out, head, own, with_body ? Bytes::borrowed(text) : Bytes{});
  return with_body ? text.size() : 0;
}

void write_continue(ByteChain& out) { out.append(ByteView("HTTP/1.1 100 Continue\r\n\r\n")); }

void write_chunk(ByteChain& out, Bytes data) {
  constexpr std::string_view hex = "0123456789abcdef";
  constexpr std::size_t size_line_most = 18;
  bool const copies = data.size() <= ByteChain::copy_below;
  char* const begin = out.reserve(size_line_most + (copies ? data.size() + 2 : 0));
  char* p = begin;
  int shift = 60;
  while (shift > 0 && (data.size() >> shift) == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) *p++ = hex[data.size() >> shift & 0xf];
  p = put(p, "\r\n");
  if (copies) p = put(put(p, data.view()), "\r\n");
  out.commit(static_cast<std::size_t>(p - begin));
  if (copies) return;
  out.append(std::move(data));
  out.append(ByteView("\r\n"));
}

void write_last_chunk(ByteChain& out, const Fields& trailers) {
  out.append(ByteView("0\r\n"));
  out.append(trailers.http1_text());
  out.append(ByteView("\r\n"));
}

}  // namespace millrace::http1
