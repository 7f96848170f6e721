// A file's bytes as part of an answer.
#pragma once
#include "millrace/net/file.hpp"

namespace millrace::server {

// Up to this size a body is read at once and leaves with its head in one write, which costs less
// than a second call; a larger one stays in its file until the socket takes it (sendfile). It also
// bounds the descriptors that a client can hold open by asking and not reading: one for each so
// many bytes that may wait on its connection (PumpOptions::high_water_bytes).
constexpr std::size_t bytes_read_at_once = 16 * 1024;

// May wait for the disk. Errc::body_length_mismatch where the file has become shorter.
base::Status append_file(base::ByteChain& out, const net::OpenFile& file, std::uint64_t offset,
                         std::uint64_t length);

}  // namespace millrace::server
