#include "millrace/observe/log_format.hpp"

#include <algorithm>

#include "millrace/observe/log_escape.hpp"

namespace millrace::observe {
namespace {

constexpr std::string_view common = R"(%h %l %u %t "%r" %>s %b)";
constexpr std::string_view combined = R"(%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i")";

// strftime's %b is in the language that the application has chosen.
constexpr std::string_view months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

std::string formatted(const char* pattern, const std::tm& time) {
  char text[64];
  return {text, std::strftime(text, sizeof text, pattern, &time)};
}

std::uint16_t status_of(const trace::RequestDone& request) {
  return request.status ? request.status : client_closed_request;
}

void append_or_dash(std::string& out, base::ByteView text) {
  if (text.empty()) {
    out += '-';
  } else {
    append_escaped(out, text);
  }
}

base::ByteView unread_line_of(const trace::RequestWords& words) {
  return words.unread_line().substr(0, unread_line_most);
}

base::ByteView path_of(base::ByteView target) { return target.substr(0, target.find('?')); }
// With its '?', as Apache has it.
base::ByteView query_of(base::ByteView target) {
  auto const at = target.find('?');
  return at == target.npos ? base::ByteView{} : target.substr(at);
}

base::Error unknown(std::string_view directive, std::size_t at) {
  return {base::Errc::invalid_option,
          {},
          "access log format: '" + std::string(directive) + "' at position " +
              std::to_string(at + 1) +
              " is not known; use common, combined, json, or of %h %a %l %u %t %r %s %>s %b %B %D "
              "%T %m %U %q %H %R %{Name}i %%"};
}

}  // namespace

// ----------------------------------------------------------------------------------------------
// time

void LogClock::refresh() {
  auto const now = now_();
  if (now == second_) [[likely]]
    return;
  second_ = now;
  std::tm local{}, utc{};
  ::localtime_r(&now, &local);
  ::gmtime_r(&now, &utc);
  common_ = formatted("[%d/", local);
  common_ += months[local.tm_mon];
  common_ += formatted("/%Y:%H:%M:%S %z]", local);
  iso_ = formatted("%Y-%m-%dT%H:%M:%SZ", utc);
}

const std::string& LogClock::common() {
  refresh();
  return common_;
}

const std::string& LogClock::iso_8601() {
  refresh();
  return iso_;
}

// ----------------------------------------------------------------------------------------------
// reading a format

struct LogFormat::Directive {
  std::string_view letters;
  Piece piece;
};

const std::vector<LogFormat::Directive>& LogFormat::directives() {
  static const std::vector<Directive> all{
      {"h", Piece::client},   {"a", Piece::client},  {"l", Piece::text},
      {"u", Piece::text},     {"t", Piece::time},    {"r", Piece::request_line},
      {"s", Piece::status},   {">s", Piece::status}, {"b", Piece::bytes_or_dash},
      {"B", Piece::bytes},    {"T", Piece::seconds}, {"D", Piece::microseconds},
      {"m", Piece::method},   {"U", Piece::path},    {"q", Piece::query},
      {"H", Piece::protocol}, {"R", Piece::route}};
  return all;
}

base::Result<LogFormat> LogFormat::parse(std::string_view text) {
  LogFormat format;
  if (text == "json") {
    format.is_json_ = true;
    return format;
  }
  if (text == "common") text = common;
  if (text == "combined") text = combined;
  if (text.find_first_of("\r\n") != text.npos)
    return base::Error{base::Errc::invalid_option,
                       {},
                       "access log format: a line end in it would make lines of half requests"};
  for (std::size_t at = 0; at < text.size();) {
    auto const percent = std::min(text.find('%', at), text.size());
    format.add_text(text.substr(at, percent - at));
    if (percent == text.size()) break;
    auto next = format.add_directive(text, percent);
    if (!next) return next.take_error();
    at = *next;
  }
  // A word that was meant as a name would be a line that never changes.
  bool const says_nothing = std::all_of(format.parts_.begin(), format.parts_.end(),
                                        [](const Part& p) { return p.piece == Piece::text; });
  if (says_nothing) return unknown(text, 0);
  return format;
}

void LogFormat::add_text(std::string_view text) {
  if (text.empty()) return;
  if (!parts_.empty() && parts_.back().piece == Piece::text) {
    parts_.back().text += text;
  } else {
    parts_.push_back({Piece::text, std::string(text)});
  }
}

// Returns where the text goes on.
base::Result<std::size_t> LogFormat::add_directive(std::string_view format, std::size_t at) {
  auto const rest = format.substr(at + 1);
  if (rest.starts_with('%')) {
    add_text("%");
    return at + 2;
  }
  if (rest.starts_with('{')) {
    auto const close = rest.find('}');
    auto const whole = rest.substr(0, close == rest.npos ? close : close + 2);
    if (!whole.ends_with("}i") || close == 1) return unknown("%" + std::string(whole), at);
    std::string name(rest.substr(1, close - 1));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    parts_.push_back({Piece::field, std::move(name)});
    return at + 1 + whole.size();
  }
  for (auto const& [letters, piece] : directives()) {
    if (!rest.starts_with(letters)) continue;
    if (piece == Piece::text) {
      add_text("-");
    } else {
      parts_.push_back({piece, {}});
    }
    return at + 1 + letters.size();
  }
  return unknown(format.substr(at, 2), at);
}

// ----------------------------------------------------------------------------------------------
// writing a line

void LogFormat::write(std::string& out, const trace::RequestDone& request, LogClock& clock) const {
  if (is_json_) {
    write_json_line(out, request, clock);
    return;
  }
  for (auto const& part : parts_) {
    if (part.piece == Piece::text) {
      out += part.text;
    } else {
      write_part(out, part, request, clock);
    }
  }
  out += '\n';
}

void LogFormat::write_part(std::string& out, const Part& part, const trace::RequestDone& request,
                           LogClock& clock) {
  auto const& words = request.words;
  switch (part.piece) {
    case Piece::text:
      break;
    case Piece::client:
      append_or_dash(out, words.client());
      break;
    case Piece::time:
      out += clock.common();
      break;
    case Piece::request_line:
      if (words.method().empty()) {
        append_or_dash(out, unread_line_of(words));
        break;
      }
      append_escaped(out, words.method());
      out += ' ';
      append_escaped(out, words.target());
      out += ' ';
      out += words.protocol();
      break;
    case Piece::status:
      append_number(out, status_of(request));
      break;
    case Piece::bytes_or_dash:
      if (request.bytes_out == 0) {
        out += '-';
        break;
      }
      [[fallthrough]];
    case Piece::bytes:
      append_number(out, request.bytes_out);
      break;
    case Piece::microseconds:
      append_number(out, request.duration() / 1'000);
      break;
    case Piece::seconds:
      append_number(out, request.duration() / 1'000'000'000);
      break;
    case Piece::method:
      append_or_dash(out, words.method());
      break;
    case Piece::path:
      append_or_dash(out, path_of(words.target()));
      break;
    case Piece::query:
      append_escaped(out, query_of(words.target()));
      break;
    case Piece::protocol:
      append_or_dash(out, words.protocol());
      break;
    case Piece::route:
      append_or_dash(out, words.route());
      break;
    case Piece::field:
      append_or_dash(out, words.field(part.text));
      break;
  }
}

void write_json_line(std::string& out, const trace::RequestDone& request, LogClock& clock) {
  auto const& words = request.words;
  auto const text = [&out](std::string_view name, base::ByteView value) {
    out += name;
    append_json_string(out, value);
  };
  out += R"({"time":")";
  out += clock.iso_8601();
  out += '"';
  text(R"(,"client":)", words.client());
  text(R"(,"method":)", words.method());
  text(R"(,"target":)", words.target());
  text(R"(,"protocol":)", words.protocol());
  if (words.method().empty()) text(R"(,"request_line":)", unread_line_of(words));
  text(R"(,"route":)", words.route());
  out += R"(,"status":)";
  append_number(out, status_of(request));
  out += R"(,"bytes":)";
  append_number(out, request.bytes_out);
  out += R"(,"duration_s":)";
  append_seconds(out, request.duration());
  text(R"(,"referer":)", words.field("referer"));
  text(R"(,"user_agent":)", words.field("user-agent"));
  out += request.is_complete() ? ",\"complete\":true}\n" : ",\"complete\":false}\n";
}

}  // namespace millrace::observe
