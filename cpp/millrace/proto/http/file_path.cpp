#include "millrace/proto/http/file_path.hpp"

#include <algorithm>

namespace millrace::http {
namespace {

using base::ByteView;

bool is_suspicious(char c) {
  auto const byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f || c == '\\';
}

bool may_name(ByteView segment, DotFiles dot_files) {
  if (segment.empty() || segment == "." || segment == "..") return false;
  return segment.front() != '.' || dot_files == DotFiles::served;
}

}  // namespace

bool may_name_file(ByteView path, DotFiles dot_files) {
  if (std::ranges::any_of(path, is_suspicious)) return false;
  while (!path.empty()) {
    auto const end = std::min(path.find('/'), path.size());
    if (!may_name(path.substr(0, end), dot_files)) return false;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return true;
}

std::string escape_path(ByteView path) {
  constexpr ByteView allowed = "-._~!$&'()*+,;=:@/", hex = "0123456789ABCDEF";
  std::string text;
  for (char c : path) {
    bool const is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                          (c >= 'A' && c <= 'Z') || allowed.find(c) != ByteView::npos;
    if (is_plain) {
      text += c;
      continue;
    }
    auto const byte = static_cast<unsigned char>(c);
    text += '%';
    text += hex[byte >> 4];
    text += hex[byte & 15];
  }
  return text;
}

}  // namespace millrace::http
