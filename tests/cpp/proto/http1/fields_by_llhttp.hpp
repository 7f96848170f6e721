// A second reading of field sections, to compare the engine's with: llhttp reads all of it, and
// what it is lenient about is checked behind it. For the tests and the fuzz target.
#pragma once
#include <llhttp.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/proto/http/head.hpp"
#include "millrace/proto/http1/field_section.hpp"
#include "millrace/proto/http1/scan.hpp"

namespace millrace::test {

using FieldTexts = std::vector<std::pair<std::string, std::string>>;

class LlhttpFields {
 public:
  // The fields of a section whose line ends were checked; nothing where it is refused.
  static std::optional<FieldTexts> read(base::ByteView section, std::size_t most_fields) {
    LlhttpFields reading(section, most_fields);
    return reading.run() && reading.each_has_a_line() ? std::optional(reading.texts())
                                                      : std::nullopt;
  }

 private:
  struct Field {
    base::ByteView name, value;
  };

  LlhttpFields(base::ByteView section, std::size_t most_fields)
      : section_(with_spaces_at_line_ends(section)), most_fields_(most_fields) {}

  // llhttp takes spaces behind a length, but no tab; RFC 9112 5 allows both behind any value.
  static std::string with_spaces_at_line_ends(base::ByteView section) {
    std::string text(section);
    for (auto at = text.find("\r\n"); at != std::string::npos; at = text.find("\r\n", at + 2))
      for (auto blank = at; blank > 0 && (text[blank - 1] == '\t' || text[blank - 1] == ' ');)
        text[--blank] = ' ';
    return text;
  }

  bool run() {
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_header_field = [](llhttp_t* parser, const char* at, std::size_t size) {
      auto& self = *static_cast<LlhttpFields*>(parser->data);
      if (self.fields_.size() == self.most_fields_) return static_cast<int>(HPE_USER);
      self.fields_.push_back({{at, size}, {}});
      return 0;
    };
    settings.on_header_value = [](llhttp_t* parser, const char* at, std::size_t size) {
      auto& self = *static_cast<LlhttpFields*>(parser->data);
      if (!self.fields_.empty()) self.fields_.back().value = {at, size};
      return 0;
    };
    settings.on_headers_complete = [](llhttp_t*) { return static_cast<int>(HPE_PAUSED); };
    constexpr base::ByteView line = "GET / HTTP/1.1\r\n";
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = this;
    llhttp_execute(&parser, line.data(), line.size());
    return llhttp_execute(&parser, section_.data(), section_.size()) == HPE_PAUSED;
  }

  // llhttp accepts folded lines, empty names and more. Each field has to begin where the line
  // before ended, with nothing between its parts but the colon and white space.
  bool each_has_a_line() {
    base::ByteView rest = section_;
    auto const skip_blanks = [&rest] {
      while (rest.front() == ' ' || rest.front() == '\t') rest.remove_prefix(1);
    };
    for (auto& [name, value] : fields_) {
      if (name.empty() || !rest.starts_with(name) || rest[name.size()] != ':') return false;
      rest.remove_prefix(name.size() + 1);
      skip_blanks();
      while (!value.empty() && (value.back() == ' ' || value.back() == '\t'))
        value.remove_suffix(1);
      if (!rest.starts_with(value)) return false;
      rest.remove_prefix(value.size());
      skip_blanks();
      if (!rest.starts_with("\r\n")) return false;
      rest.remove_prefix(2);
    }
    return rest == "\r\n";
  }

  FieldTexts texts() const {
    FieldTexts texts;
    for (auto const& field : fields_) texts.emplace_back(field.name, field.value);
    return texts;
  }

  std::string section_;
  std::size_t most_fields_;
  std::vector<Field> fields_;
};

// The section that `bytes` begin with, if its line ends are well-formed; else nothing.
inline std::optional<base::ByteView> section_of(base::ByteView bytes) {
  auto scan = http1::LineScan::behind_a_line();
  auto const outcome = scan(bytes);
  if (outcome.found != http1::LineScan::Found::end) return std::nullopt;
  return bytes.substr(0, outcome.at);
}

// The same by the engine.
inline std::optional<FieldTexts> fields_by_engine(base::ByteView section, std::size_t most_fields) {
  http::HeadBlock block;
  block.bytes = section;
  if (http1::read_fields(block, 0, most_fields)) return std::nullopt;
  FieldTexts texts;
  for (auto const& field : block.fields)
    texts.emplace_back(block.view(field.name), block.view(field.value));
  return texts;
}

}  // namespace millrace::test
