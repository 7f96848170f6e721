// How a file answers a GET or HEAD: all of it, parts of it, or word that the client has it already.
#pragma once
#include "millrace/net/file.hpp"
#include "millrace/proto/http/message.hpp"

namespace millrace::server {

struct FileAnswer {
  http::ResponseHead head;
  base::ByteChain body;
};

// `fields`: what goes with the whole file, its Content-Type among them; an ETag or Last-Modified in
// it counts instead of the file's own. `now`: seconds since 1970. May wait for the disk; an error
// where the file cannot be read.
base::Result<FileAnswer> answer_with_file(const http::Head& request, const net::OpenFile& file,
                                          http::Fields fields, std::int64_t now);

// "SIZE-MODIFIED-INODE" in hexadecimal digits, with its quotes: another file, another length or
// another time of change is another tag. Strong, as far as the file system's clock ticks between
// two changes.
std::string entity_tag_of(const net::OpenFile& file);

}  // namespace millrace::server
