#include "millrace/net/kernel_setting.hpp"

#include <fstream>
#include <string>

namespace millrace::net {

std::optional<std::int64_t> kernel_setting(std::string_view name) {
  std::ifstream file("/proc/sys/" + std::string(name));
  std::int64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

}  // namespace millrace::net
