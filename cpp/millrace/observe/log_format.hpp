// How a line of the access log looks: a format, compiled once, and the request it is filled with.
#pragma once
#include <ctime>
#include <string>
#include <vector>

#include "millrace/base/error.hpp"
#include "millrace/trace/sink.hpp"

namespace millrace::observe {

// The wall clock's second as text, written again when it has changed. One per loop.
class LogClock {
 public:
  using Now = std::time_t (*)();
  explicit LogClock(Now now = [] { return std::time(nullptr); }) : now_(now) {}
  const std::string& common();    // "[21/Nov/2026:12:00:00 +0100]", local time
  const std::string& iso_8601();  // "2026-11-21T11:00:00Z"

 private:
  void refresh();
  Now now_;
  std::time_t second_ = -1;
  std::string common_, iso_;
};

// A value. Whatever a client sends stands in a line as text that cannot end it: control bytes,
// quotes, backslashes and bytes outside ASCII are escaped.
class LogFormat {
 public:
  // "common", "combined", "json", or directives of Apache's LogFormat (mod_log_config): %h %a %l %u
  // %t %r %s %>s %b %B %D %T %m %U %q %H %R (here: the route) %{Name}i %%. Errc::invalid_option
  // names one that is not known.
  static base::Result<LogFormat> parse(std::string_view text);
  // Appends a line with its end.
  void write(std::string& out, const trace::RequestDone& request, LogClock& clock) const;

 private:
  enum class Piece : std::uint8_t {
    text,  // among it the "-" of what is never known
    client,
    time,
    request_line,
    status,
    bytes_or_dash,
    bytes,
    microseconds,
    seconds,
    method,
    path,
    query,
    protocol,
    route,
    field,
  };
  struct Part {
    Piece piece;
    std::string text;  // of text; or a field's name, in lower case
  };
  struct Directive;
  static const std::vector<Directive>& directives();
  void add_text(std::string_view text);
  base::Result<std::size_t> add_directive(std::string_view format, std::size_t at);
  static void write_part(std::string& out, const Part& part, const trace::RequestDone& request,
                         LogClock& clock);

  bool is_json_ = false;
  std::vector<Part> parts_;
};

// One JSON object: what is common to the access log in JSON and to records for Python.
void write_json_line(std::string& out, const trace::RequestDone& request, LogClock& clock);

// Bytes of a line that could not be read as a request's, before they are escaped. Whoever sends
// garbage has no target to tell apart from others: the log need not grow by all of it.
constexpr std::size_t unread_line_most = 1024;

// A client that left before it was sent a status; nginx's number for that.
constexpr std::uint16_t client_closed_request = 499;

}  // namespace millrace::observe
