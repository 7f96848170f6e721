#include "errors.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <tuple>

#include "enum_names.hpp"

#include "millrace/base/error.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

constexpr EnumNames<base::Fault, 3> faults{{{base::Fault::local, "local"},
                                            {base::Fault::peer, "peer"},
                                            {base::Fault::network, "network"}}};
constexpr EnumNames<base::Retry, 3> retries{{{base::Retry::never, "never"},
                                             {base::Retry::on_new_connection, "on_new_connection"},
                                             {base::Retry::always, "always"}}};

using Row = std::tuple<std::string_view, std::string_view, std::string_view, std::string_view>;

}  // namespace

void bind_errors(py::module_& module) {
  module.def("error_codes", [] {
    auto const table = base::error_table();
    std::vector<Row> rows(table.size());
    std::transform(table.begin(), table.end(), rows.begin(), [](auto const& one) {
      return Row{one.name, one.sentence, name_in(faults, one.fault), name_in(retries, one.retry)};
    });
    return rows;
  });
}

}  // namespace millrace::bindings
