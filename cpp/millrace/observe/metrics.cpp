#include "millrace/observe/metrics.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>
#include <string_view>

namespace millrace::observe {
namespace {

constexpr std::string_view name_of(Family::Kind kind) {
  switch (kind) {
    case Family::Kind::counter:
      return "counter";
    case Family::Kind::gauge:
      return "gauge";
    case Family::Kind::histogram:
      return "histogram";
  }
  return {};
}

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
    return;
  }
  if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
    return;
  }
  char digits[32];
  // Counts come as whole numbers; a double holds them exactly up to 2^53.
  bool const is_whole = value == std::trunc(value) && std::fabs(value) < 9e15;
  auto const end =
      is_whole ? std::to_chars(digits, digits + sizeof digits, static_cast<std::int64_t>(value))
               : std::to_chars(digits, digits + sizeof digits, value);
  out.append(digits, end.ptr);
}

enum class In : std::uint8_t { help, label };

// A backslash, a line feed and, in a label, a quote are escaped; all other bytes stand as they are.
void append_escaped(std::string& out, std::string_view text, In where) {
  for (char const c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && where == In::label) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

void append_label(std::string& out, char& separator, std::string_view name,
                  std::string_view value) {
  out += std::exchange(separator, ',');
  out += name;
  out += "=\"";
  append_escaped(out, value, In::label);
  out += '"';
}

// `bound`: of a histogram's bucket; empty for everything else.
void append_line(std::string& out, const Family& family, std::string_view suffix,
                 const Labels& labels, std::string_view bound, double value) {
  out += family.name;
  out += suffix;
  char separator = '{';
  for (auto const& [name, text] : labels) append_label(out, separator, name, text);
  if (!bound.empty()) append_label(out, separator, "le", bound);
  if (separator == ',') out += '}';
  out += ' ';
  append_number(out, value);
  out += '\n';
}

void append_histogram(std::string& out, const Family& family, const Sample& sample) {
  std::uint64_t so_far = 0;
  for (std::size_t i = 0; i < sample.buckets.size(); ++i) {
    so_far += sample.buckets[i];
    std::string bound;
    append_number(bound, i < family.bounds.size() ? family.bounds[i] : INFINITY);
    append_line(out, family, "_bucket", sample.labels, bound, static_cast<double>(so_far));
  }
  append_line(out, family, "_sum", sample.labels, {}, sample.value);
  append_line(out, family, "_count", sample.labels, {}, static_cast<double>(so_far));
}

void combine(const Family& family, Sample& into, const Sample& from) {
  switch (family.combine) {
    case Family::Combine::sum:
      into.value += from.value;
      break;
    case Family::Combine::lowest:
      into.value = std::min(into.value, from.value);
      break;
    case Family::Combine::highest:
      into.value = std::max(into.value, from.value);
      break;
  }
  auto const buckets = std::min(into.buckets.size(), from.buckets.size());
  for (std::size_t i = 0; i < buckets; ++i) into.buckets[i] += from.buckets[i];
}

}  // namespace

std::uint64_t Sample::count() const {
  return std::accumulate(buckets.begin(), buckets.end(), std::uint64_t{0});
}

Metrics merge(const std::vector<Metrics>& several) {
  Metrics merged;
  std::map<std::string, std::size_t, std::less<>> families;
  std::vector<std::map<Labels, std::size_t>> samples;
  for (auto const& metrics : several) {
    for (auto const& family : metrics) {
      auto const [at, is_new] = families.emplace(family.name, merged.size());
      if (is_new) {
        merged.push_back(family);
        merged.back().samples.clear();
        samples.emplace_back();
      }
      auto& into = merged[at->second];
      if (into.kind != family.kind || into.bounds != family.bounds) continue;
      for (auto const& sample : family.samples) {
        auto const [place, is_first] =
            samples[at->second].emplace(sample.labels, into.samples.size());
        if (is_first) {
          into.samples.push_back(sample);
        } else {
          combine(into, into.samples[place->second], sample);
        }
      }
    }
  }
  return merged;
}

std::string render_prometheus(const Metrics& metrics) {
  std::string out;
  for (auto const& family : metrics) {
    if (family.samples.empty()) continue;
    out += "# HELP ";
    out += family.name;
    out += ' ';
    append_escaped(out, family.help, In::help);
    out += "\n# TYPE ";
    out += family.name;
    out += ' ';
    out += name_of(family.kind);
    out += '\n';
    for (auto const& sample : family.samples) {
      if (family.kind == Family::Kind::histogram) {
        append_histogram(out, family, sample);
      } else {
        append_line(out, family, {}, sample.labels, {}, sample.value);
      }
    }
  }
  return out;
}

}  // namespace millrace::observe
