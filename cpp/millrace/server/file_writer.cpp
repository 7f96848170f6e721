#include "millrace/server/file_writer.hpp"

namespace millrace::server {

base::Status FileWriter::expect(std::uint64_t bytes) {
  if (bytes <= most_bytes_) return {};
  return base::failure(base::Errc::body_too_large, {}, "most_bytes=" + std::to_string(most_bytes_));
}

base::Status FileWriter::put(base::ByteView piece) {
  if (auto status = expect(file_.size() + piece.size()); !status) return status;
  return file_.append(piece);
}

}  // namespace millrace::server
