// What the system's error numbers mean in our words.
#pragma once
#include <string>
#include <string_view>

#include "millrace/base/error.hpp"

namespace millrace::net {

// `number` is an errno, `what` says what was tried ("cannot listen on 127.0.0.1:80"); the system's
// own sentence follows it in the detail.
base::Error system_error(int number, std::string_view what);

// For constructors, which run once at start-up and have no other way to fail; reads errno.
[[noreturn]] void throw_system_error(const char* what);

}  // namespace millrace::net
