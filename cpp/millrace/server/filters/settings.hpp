// What a filter is told from outside: names and values.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "millrace/base/error.hpp"

namespace millrace::server {

class Settings {
 public:
  using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>>;
  Settings() = default;
  explicit Settings(std::map<std::string, Value> values) : values_(std::move(values)) {}

  // A value that is missing or of another type counts as empty, and as a problem.
  bool flag(const std::string& name) { return get<bool>(name); }
  std::int64_t number(const std::string& name) { return get<std::int64_t>(name); }
  double real(const std::string& name) { return get<double>(name); }
  std::string text(const std::string& name) { return get<std::string>(name); }
  std::vector<std::string> list(const std::string& name) {
    return get<std::vector<std::string>>(name);
  }
  // The first problem: ask when all that is wanted has been taken.
  base::Status problem() const {
    if (problem_.empty()) return {};
    return base::failure(base::Errc::invalid_option, {}, problem_);
  }

 private:
  template <class Type>
  Type get(const std::string& name) {
    auto const found = values_.find(name);
    if (found != values_.end())
      if (auto const* value = std::get_if<Type>(&found->second)) return *value;
    if (problem_.empty()) problem_ = "the setting '" + name + "' is missing, or of another type";
    return {};
  }

  std::map<std::string, Value> values_;
  std::string problem_;
};

}  // namespace millrace::server
