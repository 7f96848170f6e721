#include "millrace/server/file_body.hpp"

#include <string>

namespace millrace::server {

base::Status append_file(base::ByteChain& out, const net::OpenFile& file, std::uint64_t offset,
                         std::uint64_t length) {
  auto slice = file.slice(offset, length);
  if (length > bytes_read_at_once) {
    out.append(std::move(slice));
    return {};
  }
  std::string text(length, '\0');
  auto read = net::read_file(slice, text);
  if (read) out.append(base::Bytes::from(std::move(text)));
  return read.take_status();
}

}  // namespace millrace::server
