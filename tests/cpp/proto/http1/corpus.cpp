#include "proto/http1/corpus.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>

namespace millrace::test {
namespace {

using Keys = std::map<std::string, std::string>;

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    switch (char const c = text.at(++i)) {
      case 'r':
        out += '\r';
        break;
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case 'u':  // one byte of a request is one of the first 256 characters
        out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 4)), nullptr, 16));
        i += 4;
        break;
      default:
        out += c;
    }
  }
  return out;
}

void fill(std::string& text, const std::string& filling) {
  constexpr std::string_view mark = "{fill}";
  if (auto const at = text.find(mark); at != std::string::npos)
    text.replace(at, mark.size(), filling);
}

Case made_of(const std::string& file, const Keys& keys) {
  auto const of = [&keys](const char* key, std::string otherwise = "") {
    auto const found = keys.find(key);
    return found == keys.end() ? otherwise : found->second;
  };
  Case one{.file = file,
           .name = of("name"),
           .clause = of("clause"),
           .request = of("before") + of("request") + of("after"),
           .why = of("why"),
           .status = 0,
           .rule = of("rule"),
           .in_body = of("in_body") == "true",
           .seen = of("seen"),
           .body = of("body"),
           .authority = of("authority", "a"),
           .closes = of("closes") == "true"};
  if (auto const expect = of("expect"); expect != "accepted")
    one.status = static_cast<std::uint16_t>(std::stoi(expect));
  if (auto const times = of("fill"); !times.empty()) {
    std::string filling;
    for (int i = 0; i < std::stoi(times); ++i) filling += of("with", "x");
    fill(one.request, filling);
    fill(one.seen, filling);
  }
  return one;
}

void read(const std::filesystem::path& path, std::vector<Case>& cases) {
  std::ifstream stream(path);
  Keys group;
  Keys one;
  bool is_group = true;
  auto const finish = [&] {
    if (!one.empty()) cases.push_back(made_of(path.stem(), one));
    one.clear();
  };
  for (std::string line; std::getline(stream, line);) {
    if (line.empty() || line.front() == '#') continue;
    if (line.front() == '[') {
      finish();
      is_group = line == "[[group]]";
      if (is_group) group.clear();
      if (!is_group) one = group;
      continue;
    }
    auto const equals = line.find(" = ");
    if (equals == std::string::npos) throw std::runtime_error(path.string() + ": " + line);
    std::string_view value = std::string_view(line).substr(equals + 3);
    bool const is_text = value.front() == '"';
    if (is_text) value = value.substr(1, value.size() - 2);
    (is_group ? group : one)[line.substr(0, equals)] =
        is_text ? unescaped(value) : std::string(value);
  }
  finish();
}

}  // namespace

const std::vector<Case>& corpus() {
  static const auto cases = [] {
    std::vector<std::filesystem::path> paths;
    for (auto const& entry : std::filesystem::directory_iterator(MILLRACE_REQUESTS))
      paths.push_back(entry.path());
    std::ranges::sort(paths);
    std::vector<Case> all;
    for (auto const& path : paths) read(path, all);
    return all;
  }();
  return cases;
}

}  // namespace millrace::test
