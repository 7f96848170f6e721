#include "millrace/lab/arrivals.hpp"

#include <string>

namespace millrace::lab {

std::string_view name_of(Spacing spacing) {
  switch (spacing) {
    case Spacing::constant:
      return "constant";
    case Spacing::poisson:
      return "poisson";
  }
  return {};
}

base::Result<Spacing> spacing_named(std::string_view name) {
  for (auto const spacing : {Spacing::constant, Spacing::poisson})
    if (name == name_of(spacing)) return spacing;
  return base::Error{base::Errc::invalid_option,
                     {},
                     "arrivals is \"constant\" or \"poisson\", not \"" + std::string(name) + '"'};
}

}  // namespace millrace::lab
