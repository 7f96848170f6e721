// Which media type a file has, by the end of its name.
#pragma once
#include "millrace/base/bytes.hpp"

namespace millrace::http {

// A value for Content-Type, text with its charset (UTF-8, as files are written today);
// "application/octet-stream" where the name says nothing. Static text.
base::ByteView media_type_of(base::ByteView file_name);

}  // namespace millrace::http
