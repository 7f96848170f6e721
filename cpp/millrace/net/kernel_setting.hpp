// Numbers that the kernel shows under /proc/sys.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace::net {

// "net/core/somaxconn". Empty where there is no such file or number; names that begin with net/ are
// those of this process's network namespace. Any thread; reads a file.
std::optional<std::int64_t> kernel_setting(std::string_view name);

}  // namespace millrace::net
