#include "millrace/server/router.hpp"

#include <algorithm>
#include <charconv>
#include <map>

namespace millrace::server {

using base::ByteView;
using base::Errc;

namespace {

enum class Kind : std::uint8_t { literal, str, integer, real, uuid, path };

struct Segment {
  Kind kind = Kind::literal;
  std::string text;  // the literal, or the parameter's name
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool is_integer(ByteView text) {
  if (!text.empty() && text.front() == '-') text.remove_prefix(1);
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

bool is_real(ByteView text) {
  double value = 0;
  auto const end = text.data() + text.size();
  auto const [at, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  return !text.empty() && is_digit(text.back()) && error == std::errc{} && at == end;
}

// RFC 9562 4: 8-4-4-4-12 hexadecimal digits.
bool is_uuid(ByteView text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool const dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
  }
  return true;
}

bool fits(Kind kind, ByteView text) {
  switch (kind) {
    case Kind::literal:
    case Kind::path:
      return true;
    case Kind::str:
      return !text.empty();
    case Kind::integer:
      return is_integer(text);
    case Kind::real:
      return is_real(text);
    case Kind::uuid:
      return is_uuid(text);
  }
  return false;
}

base::Result<Kind> kind_named(ByteView name) {
  if (name == "str") return Kind::str;
  if (name == "int") return Kind::integer;
  if (name == "float") return Kind::real;
  if (name == "uuid") return Kind::uuid;
  if (name == "path") return Kind::path;
  return base::Error{
      Errc::invalid_option,
      {},
      "unknown parameter type '" + std::string(name) + "': use str, int, float, uuid or path"};
}

base::Error bad_pattern(ByteView pattern, std::string why) {
  return {Errc::invalid_option, {}, "route '" + std::string(pattern) + "': " + std::move(why)};
}

struct Target {
  std::string method;  // empty: any
  Handler* handler;
};

struct Pattern {
  std::string text;
  std::vector<Segment> segments;
  std::vector<Target> targets;
};

struct Hash {
  using is_transparent = void;
  std::size_t operator()(ByteView text) const { return std::hash<ByteView>{}(text); }
};

Handler* pick(const std::vector<Target>& targets, ByteView method) {
  Handler* any = nullptr;
  for (auto const& target : targets) {
    if (target.method == method) return target.handler;
    if (target.method.empty() && !any) any = target.handler;
  }
  return any;
}

base::Result<std::vector<Segment>> parse(std::string_view pattern) {
  if (pattern.empty() || pattern.front() != '/')
    return bad_pattern(pattern, "it must begin with '/'");
  std::vector<Segment> segments;
  std::size_t parameters = 0;
  for (std::size_t at = 1; at <= pattern.size();) {
    auto const end = std::min(pattern.find('/', at), pattern.size());
    auto const part = pattern.substr(at, end - at);
    at = end + 1;
    if (part.find_first_of("{}") == part.npos) {
      segments.push_back({Kind::literal, std::string(part)});
      continue;
    }
    if (part.front() != '{' || part.back() != '}' || part.find_first_of("{}", 1) != part.size() - 1)
      return bad_pattern(pattern,
                         "a parameter fills its whole segment: '/{name}' or '/{name:type}'");
    auto const inner = part.substr(1, part.size() - 2);
    auto const colon = std::min(inner.find(':'), inner.size());
    auto const name = inner.substr(0, colon);
    if (name.empty()) return bad_pattern(pattern, "a parameter needs a name");
    auto kind = kind_named(colon < inner.size() ? inner.substr(colon + 1) : "str");
    if (!kind) return bad_pattern(pattern, kind.error().detail);
    if (*kind == Kind::path && at <= pattern.size())
      return bad_pattern(pattern, "a path parameter must be the last segment");
    for (auto const& earlier : segments)
      if (earlier.kind != Kind::literal && earlier.text == name)
        return bad_pattern(pattern, "the parameter '" + std::string(name) + "' stands twice");
    if (++parameters > conn::Exchange::max_parameters)
      return bad_pattern(
          pattern, "more than " + std::to_string(conn::Exchange::max_parameters) + " parameters");
    segments.push_back({*kind, std::string(name)});
  }
  return segments;
}

// Fills the parameters as it goes; they are right if it returns true.
bool matches(const Pattern& pattern, ByteView path, conn::Exchange& exchange) {
  exchange.parameter_count = 0;
  if (!path.starts_with('/')) return false;  // '*' is the server itself (RFC 9112 3.2.4)
  std::size_t at = 1;
  for (auto const& segment : pattern.segments) {
    if (at > path.size()) return false;
    auto const end =
        segment.kind == Kind::path ? path.size() : std::min(path.find('/', at), path.size());
    auto const part = path.substr(at, end - at);
    at = end + 1;
    if (segment.kind == Kind::literal) {
      if (part != segment.text) return false;
      continue;
    }
    if (!fits(segment.kind, part)) return false;
    exchange.parameters[exchange.parameter_count++] = {segment.text, part};
  }
  return at > path.size();
}

// Literal before parameter, in the order of the segments.
bool is_more_literal(const Pattern& a, const Pattern& b) {
  auto const common = std::min(a.segments.size(), b.segments.size());
  for (std::size_t i = 0; i < common; ++i) {
    auto const rank = [](const Segment& s) {
      return s.kind == Kind::literal ? 0 : s.kind == Kind::path ? 2 : 1;
    };
    if (rank(a.segments[i]) != rank(b.segments[i]))
      return rank(a.segments[i]) < rank(b.segments[i]);
  }
  return false;
}

}  // namespace

struct Router::Table {
  std::unordered_map<std::string, std::vector<Target>, Hash, std::equal_to<>> exact;
  std::vector<std::unique_ptr<Pattern>>
      patterns;  // most literal first; views into them are handed out
};

Router::Router() : table_(std::make_unique<Table>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

base::Status Router::add(std::vector<std::string> methods, std::string_view pattern,
                         Handler& handler) {
  auto segments = parse(pattern);
  if (!segments) return segments.take_status();
  if (methods.empty()) methods.emplace_back();
  bool const literal = std::all_of(segments->begin(), segments->end(),
                                   [](const Segment& s) { return s.kind == Kind::literal; });
  std::vector<Target>* targets = nullptr;
  if (literal) {
    targets = &table_->exact[std::string(pattern)];
  } else {
    auto added = std::make_unique<Pattern>(Pattern{std::string(pattern), std::move(*segments), {}});
    targets = &added->targets;
    auto const at = std::find_if(table_->patterns.begin(), table_->patterns.end(),
                                 [&](auto const& p) { return is_more_literal(*added, *p); });
    table_->patterns.insert(at, std::move(added));
  }
  for (auto& method : methods) targets->push_back({std::move(method), &handler});
  return {};
}

Router::Match Router::find(conn::Exchange& exchange) const {
  auto const path = exchange.head.path();
  auto const method = exchange.head.method_text();
  bool const is_head = exchange.head.method() == http::Method::head;
  auto const choose = [&](const std::vector<Target>& targets) {
    auto* const handler = pick(targets, method);
    return handler || !is_head ? handler : pick(targets, "GET");
  };

  exchange.parameter_count = 0;
  auto const exact = table_->exact.find(path);
  if (exact != table_->exact.end()) {
    if (auto* handler = choose(exact->second)) return {handler, exact->first, {}, true};
  }
  for (auto const& pattern : table_->patterns) {
    if (!matches(*pattern, path, exchange)) continue;
    if (auto* handler = choose(pattern->targets)) return {handler, pattern->text, {}, true};
  }

  // No handler: which methods would have one?
  std::map<std::string, bool, std::less<>> allowed;
  auto const collect = [&](const std::vector<Target>& targets) {
    for (auto const& target : targets) allowed[target.method] = true;
  };
  if (exact != table_->exact.end()) collect(exact->second);
  for (auto const& pattern : table_->patterns)
    if (matches(*pattern, path, exchange)) collect(pattern->targets);
  exchange.parameter_count = 0;
  if (allowed.empty()) return {};
  if (allowed.contains("GET")) allowed["HEAD"] = true;
  allowed["OPTIONS"] = true;
  Match match{nullptr, {}, {}, true};
  for (auto const& [name, unused] : allowed) {
    if (!match.allow.empty()) match.allow += ", ";
    match.allow += name;
  }
  return match;
}

}  // namespace millrace::server
