#include "host_module.hpp"

#include <string>

#include "interpreter_state.hpp"

namespace millrace::python {

PyObject* host_function(const char* name) {
  auto*& module = interpreter_state().host_module;
  if (!module) module = PyImport_ImportModule("millrace._host");
  if (!module) return nullptr;
  // Modules keep their functions: the reference may be given back and stays good.
  Ref const function(PyObject_GetAttrString(module, name));
  return function.get();
}

void raise_error(const base::Error& error) {
  auto const name = base::describe(error.code).name;
  Ref const module(PyImport_ImportModule("millrace.errors"));
  if (!module) return;
  std::string message(base::describe(error.code).sentence);
  std::string const rule(error.rule);  // a null view would be passed as None
  if (!error.detail.empty()) message.append(": ").append(error.detail);
  Ref exception(PyObject_CallMethod(module.get(), "from_code", "s#s#s#", name.data(),
                                    static_cast<Py_ssize_t>(name.size()), message.data(),
                                    static_cast<Py_ssize_t>(message.size()), rule.data(),
                                    static_cast<Py_ssize_t>(rule.size())));
  if (exception) raise(std::move(exception));
}

}  // namespace millrace::python
