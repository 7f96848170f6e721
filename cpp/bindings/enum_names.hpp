// Enumerators that Python sees as str.
#pragma once
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "unwrap.hpp"

namespace millrace::bindings {

template <class Enum, std::size_t size>
using EnumNames = std::array<std::pair<Enum, std::string_view>, size>;

template <class Enum, std::size_t size>
std::string_view name_in(const EnumNames<Enum, size>& names, Enum value) {
  return std::find_if(names.begin(), names.end(),
                      [&](auto const& row) { return row.first == value; })
      ->second;
}

// Raises ValueError for a name that is not in the table.
template <class Enum, std::size_t size>
Enum value_in(const EnumNames<Enum, size>& names, std::string_view name) {
  auto const found =
      std::find_if(names.begin(), names.end(), [&](auto const& row) { return row.second == name; });
  if (found != names.end()) return found->first;
  std::string detail = "'" + std::string(name) + "' is not one of";
  for (auto const& row : names) detail.append(" '").append(row.second).append("'");
  throw_error(base::Error{base::Errc::invalid_option, {}, std::move(detail)});
}

}  // namespace millrace::bindings
