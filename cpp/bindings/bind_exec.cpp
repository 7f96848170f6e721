#include "bind_exec.hpp"

#include <pybind11/stl.h>

#include "enum_names.hpp"

#include "millrace/exec/pattern.hpp"

namespace py = pybind11;

namespace millrace::bindings {
namespace {

using exec::Recipe;

constexpr EnumNames<exec::Accept, 3> accepts{{{exec::Accept::one_loop, "one_loop"},
                                              {exec::Accept::shared_socket, "shared_socket"},
                                              {exec::Accept::socket_per_loop, "socket_per_loop"}}};
constexpr EnumNames<exec::Place, 3> places{{{exec::Place::accepting_loop, "accepting_loop"},
                                            {exec::Place::round_robin, "round_robin"},
                                            {exec::Place::least_connections, "least_connections"}}};
constexpr EnumNames<exec::Run, 2> runs{
    {{exec::Run::on_loop, "on_loop"}, {exec::Run::on_workers, "on_workers"}}};
constexpr EnumNames<net::Wakeup, 3> wakeups{{{net::Wakeup::epoll, "epoll"},
                                             {net::Wakeup::epoll_exclusive, "epoll_exclusive"},
                                             {net::Wakeup::blocking, "blocking"}}};

template <auto member, auto& names>
void named(py::class_<Recipe>& recipe, const char* property) {
  recipe.def_property(
      property, [](const Recipe& one) { return name_in(names, one.*member); },
      [](Recipe& one, std::string_view name) { one.*member = value_in(names, name); });
}

}  // namespace

void bind_exec(py::module_& module) {
  py::class_<Recipe> recipe(module, "Recipe");
  recipe.def(py::init<>())
      .def_readwrite("name", &Recipe::name)
      .def_readwrite("separate_acceptor", &Recipe::separate_acceptor)
      .def_readwrite("loops", &Recipe::loops)
      .def_readwrite("workers", &Recipe::workers)
      .def_readwrite("queue_capacity", &Recipe::queue_capacity)
      .def("check", [](const Recipe& one) { unwrap(exec::check(one)); });
  named<&Recipe::accept, accepts>(recipe, "accept");
  named<&Recipe::place, places>(recipe, "place");
  named<&Recipe::run, runs>(recipe, "run");
  named<&Recipe::wakeup, wakeups>(recipe, "wakeup");

  module.def("recipes", [] {
    auto const all = exec::recipes();
    return std::vector<Recipe>(all.begin(), all.end());
  });
}

}  // namespace millrace::bindings
