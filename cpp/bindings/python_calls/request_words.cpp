// What a request says beside its head and its body, and what may be said to it before its answer.
#include "headers.hpp"
#include "host_module.hpp"
#include "interpreter_state.hpp"
#include "request.hpp"

#include "millrace/net/letter.hpp"
#include "millrace/proto/http/cookies.hpp"

namespace millrace::python {
namespace {

// One pair after the other as a list, for Python to make something of.
template <class Pairs, class Convert>
PyObject* list_of_pairs(const Pairs& pairs, Convert convert) {
  Ref list(PyList_New(0));
  for (auto const& [name, value] : pairs) {
    Ref const pair(list ? Py_BuildValue("(NN)", convert(name), convert(value)) : nullptr);
    if (!pair || PyList_Append(list.get(), pair.get()) < 0) return nullptr;
  }
  return list.release();
}

// Framing is no business of an interim answer, and hop-by-hop fields mean nothing in one.
constexpr std::uint32_t not_for_hints =
    http::bit_of(http::FieldId::content_length) | http::bit_of(http::FieldId::transfer_encoding) |
    http::bit_of(http::FieldId::connection) | http::bit_of(http::FieldId::keep_alive) |
    http::bit_of(http::FieldId::upgrade) | http::bit_of(http::FieldId::trailer);

bool add_hints(PyObject* source, http::Fields& into) {
  Ref const own(as_object(new_headers()));
  auto* const headers = reinterpret_cast<HeadersObject*>(own.get());
  if (!own || !extend_headers(headers, source)) return false;
  for (Py_ssize_t i = 0; i < headers->size; ++i) {
    Ref room;
    auto const name = utf8_of(headers->entries[2 * i]);
    auto const value = name.data() ? field_bytes(headers->entries[2 * i + 1], room) : name;
    if (!value.data()) return false;
    if (auto const status = into.add_checked(name, value); !status) {
      raise_error(status.error());
      return false;
    }
  }
  if (!into.holds_any_of(not_for_hints)) return true;
  PyErr_SetString(PyExc_ValueError, "early hints hold no field of the framing or the connection");
  return false;
}

}  // namespace

PyObject* make_cookies(RequestObject* request) {
  std::vector<http::Cookie> cookies;
  auto const& head = head_of(request);
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (!http::equals_ignoring_case(head.name(i), "cookie")) continue;
    if (auto const status = http::read_cookies(head.value(i), cookies); !status) {
      raise_error(status.error());
      return nullptr;
    }
  }
  Ref const pairs(list_of_pairs(cookies, to_str));
  return pairs ? call_host("make_cookies", pairs.get()) : nullptr;
}

PyObject* make_trailers(RequestObject* request) {
  bool const is_there = !request->exchange || request->exchange->body.has_ended();
  if (!is_there) {
    PyErr_SetString(PyExc_RuntimeError,
                    "the trailers follow the body: read it to its end, then ask for them");
    return nullptr;
  }
  auto const& trailers =
      request->exchange ? request->exchange->body.trailers() : request->kept->trailers;
  std::vector<std::pair<base::ByteView, base::ByteView>> fields;
  for (std::size_t i = 0; i < trailers.size(); ++i)
    fields.emplace_back(trailers.name(i), trailers.value(i));
  Ref const pairs(list_of_pairs(fields, latin1_to_str));
  return pairs ? call_one(as_object(interpreter_state().types.headers), pairs.get()) : nullptr;
}

PyObject* early_hints(PyObject* self, PyObject* fields) {
  auto* const request = reinterpret_cast<RequestObject*>(self);
  http::ResponseHead head{.status = 103, .preset = nullptr, .fields = {}, .content_length = {}};
  if (!add_hints(fields, head.fields)) return nullptr;
  auto* const exchange = request->exchange;
  if (!exchange || exchange->has_started()) {
    PyErr_SetString(PyExc_RuntimeError, "early hints come before the answer, which is on its way");
    return nullptr;
  }
  exchange->interim(std::move(head));
  // A worker holds its letters until its batch is done; hints are for now.
  if (!exchange->home().in_thread()) net::Outbox::mine().flush();
  Py_RETURN_NONE;
}

}  // namespace millrace::python
