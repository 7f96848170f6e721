#include "answer.hpp"

#include <charconv>
#include <ctime>
#include <string>

#include "failure.hpp"
#include "gil.hpp"
#include "host_module.hpp"
#include "interpreter_state.hpp"
#include "json.hpp"
#include "open_file.hpp"
#include "response.hpp"

#include "millrace/net/system_error.hpp"
#include "millrace/proto/http1/chunked.hpp"
#include "millrace/server/file_answer.hpp"
#include "millrace/server/file_body.hpp"

namespace millrace::python {
namespace {

using http::FieldId;
using http::Fields;

const Fields& text_plain() {
  static const Fields fields{{"Content-Type", "text/plain; charset=utf-8"}};
  return fields;
}
const Fields& octet_stream() {
  static const Fields fields{{"Content-Type", "application/octet-stream"}};
  return fields;
}
const Fields& application_json() {
  static const Fields fields{{"Content-Type", "application/json"}};
  return fields;
}

bool set_text(PyObject* str, PreparedAnswer& answer) {
  answer.bytes = utf8_of(str);
  answer.bytes_owner = str;
  return answer.bytes.data() != nullptr;  // no lone surrogates
}

void set_bytes(PyObject* bytes, PreparedAnswer& answer) {
  answer.bytes = {PyBytes_AS_STRING(bytes), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))};
  answer.bytes_owner = bytes;
}

// A bytearray may change, so its bytes are taken as they are now.
bool set_copy(PyObject* buffer, PreparedAnswer& answer) {
  answer.backing = Ref(PyBytes_FromObject(buffer));
  if (!answer.backing) return false;
  set_bytes(answer.backing.get(), answer);
  return true;
}

bool set_json(PyObject* value, PreparedAnswer& answer) {
  // Kept between requests, unless a large one made it grow.
  thread_local std::string buffer;
  if (buffer.capacity() > 256 * 1024) buffer = {};
  buffer.clear();
  if (!append_json(buffer, value)) return false;
  answer.bytes = buffer;
  return true;
}

// An iterator gives a file's lines; as a body its bytes are wanted, in pieces.
bool is_file_object(PyObject* body) {
  return PyIter_Check(body) && PyObject_HasAttrString(body, "read") == 1;
}

void set_chunks(PyObject* chunks, PreparedAnswer::Form form, PreparedAnswer& answer) {
  answer.chunks = Ref::borrow(chunks);
  answer.form = form;
}

// The body, and the content type that fits it.
bool set_body(PyObject* body, PreparedAnswer& answer) {
  auto& preset = answer.head.preset;
  if (PyUnicode_Check(body)) {
    preset = &text_plain();
    return set_text(body, answer);
  }
  if (PyBytes_Check(body)) {
    preset = &octet_stream();
    set_bytes(body, answer);
    return true;
  }
  if (PyDict_Check(body) || PyList_Check(body)) {
    preset = &application_json();
    return set_json(body, answer);
  }
  if (is_async_chunks(body)) {
    set_chunks(body, PreparedAnswer::Form::async_chunks, answer);
    return true;
  }
  if (PyByteArray_Check(body) || PyMemoryView_Check(body)) {
    preset = &octet_stream();
    return set_copy(body, answer);
  }
  if (is_file_object(body)) {
    Ref const pieces(call_host("FilePieces", body));
    if (!pieces) return false;
    set_chunks(pieces.get(), PreparedAnswer::Form::chunks, answer);
    return true;
  }
  if (is_chunks(body)) {
    set_chunks(body, PreparedAnswer::Form::chunks, answer);
    return true;
  }
  refuse_answer(body);
  return false;
}

bool declare_length(PreparedAnswer& answer, base::ByteView text) {
  std::uint64_t length = 0;
  auto const* const end = text.data() + text.size();
  auto const [at, error] = std::from_chars(text.data(), end, length);
  if (error == std::errc{} && at == end && !text.empty()) {
    answer.head.content_length = length;
    return true;
  }
  PyErr_SetString(PyExc_ValueError, "the Content-Length header is not a number");
  return false;
}

bool add_field(PreparedAnswer& answer, base::ByteView name, base::ByteView value) {
  auto& fields = answer.head.fields;
  if (auto const status = fields.add_checked(name, value); !status) {
    raise_error(status.error());
    return false;
  }
  switch (fields.id(fields.size() - 1)) {
    case FieldId::content_length: {
      std::string const text(value);
      fields.remove(FieldId::content_length);  // the codec writes it
      return declare_length(answer, text);
    }
    case FieldId::transfer_encoding:
      PyErr_SetString(PyExc_ValueError,
                      "the Transfer-Encoding header is the engine's business (RFC 9112 6.1)");
      return false;
    case FieldId::content_type:
      answer.head.preset = nullptr;
      answer.names_type = true;
      return true;
    default:
      return true;
  }
}

bool set_fields(const ResponseObject* response, PreparedAnswer& answer) {
  Ref room;
  if (response->content_type != Py_None) {
    auto const value = field_bytes(response->content_type, room);
    if (!value.data() || !add_field(answer, "Content-Type", value)) return false;
  }
  bool const has_type = answer.names_type;
  if (!response->headers) return true;
  auto const& headers = *response->headers;
  for (Py_ssize_t i = 0; i < headers.size; ++i) {
    auto const name = utf8_of(headers.entries[2 * i]);
    if (!name.data()) return false;
    if (has_type && equal_names(name, "content-type")) continue;
    auto const value = field_bytes(headers.entries[2 * i + 1], room);
    if (!value.data() || !add_field(answer, name, value)) return false;
  }
  return true;
}

// RFC 9110 10.1.4, RFC 9112 7.1.2: only these, and only behind chunks.
bool takes_trailers(const http::Head& request) {
  bool const is_http10 = request.version_major() == 1 && request.version_minor() == 0;
  if (is_http10 || request.method() == http::Method::head) return false;
  for (std::size_t i = 0; i < request.size(); ++i)
    if (request.id(i) == FieldId::te && http::list_contains(request.value(i), "trailers"))
      return true;
  return false;
}

// Their names, for the Trailer field; null and an exception raised where they are none.
PyObject* trailer_names(PyObject* trailers) {
  Ref const names(PyMapping_Keys(trailers));
  if (!names) return nullptr;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names.get()); ++i) {
    auto* const name = PyList_GET_ITEM(names.get(), i);
    auto const text = PyUnicode_Check(name) ? utf8_of(name) : std::string_view();
    if (http::is_token(text) && !http1::is_forbidden_trailer(text)) continue;
    if (!PyErr_Occurred())
      PyErr_Format(PyExc_ValueError, "%R cannot be a trailer (RFC 9110 6.5.1)", name);
    return nullptr;
  }
  Ref const comma(PyUnicode_FromString(", "));
  return comma ? PyUnicode_Join(comma.get(), names.get()) : nullptr;
}

bool promise_trailers(const ResponseObject* response, PreparedAnswer& answer) {
  bool const is_in_pieces = answer.form == PreparedAnswer::Form::chunks ||
                            answer.form == PreparedAnswer::Form::async_chunks;
  if (!is_in_pieces || answer.head.content_length) {
    PyErr_SetString(PyExc_ValueError,
                    "trailers follow a body in pieces, without a Content-Length of its own");
    return false;
  }
  Ref const names(trailer_names(response->trailers));
  if (!names) return false;
  answer.trailers = Ref::borrow(response->trailers);
  auto const text = utf8_of(names.get());
  return text.empty() || add_field(answer, "Trailer", text);
}

// The file of a Response that sends one, else null.
const OpenFileObject* file_of(const ResponseObject* response) {
  bool const is_file = PyObject_TypeCheck(response->body, interpreter_state().types.open_file);
  return is_file ? reinterpret_cast<const OpenFileObject*>(response->body) : nullptr;
}

bool prepare_response(const ResponseObject* response, PreparedAnswer& answer) {
  answer.head.status = static_cast<std::uint16_t>(response->status);
  auto const* const file = file_of(response);
  if (file) {
    answer.form = PreparedAnswer::Form::file;
    answer.file = file->file;
  } else if (!set_body(response->body, answer)) {
    return false;
  }
  bool const is_bodiless =
      response->status == 204 || response->status == 304;  // RFC 9110 15.3.5, 15.4.5
  if (is_bodiless) {
    answer.form = PreparedAnswer::Form::whole;
    answer.bytes = {};
  }
  if (answer.form == PreparedAnswer::Form::whole && answer.bytes.empty())
    answer.head.preset = nullptr;
  if (response->headers || response->content_type != Py_None)
    if (!set_fields(response, answer)) return false;
  if (answer.form == PreparedAnswer::Form::file && !answer.names_type)
    answer.head.fields.add("Content-Type", file->media_type);
  if (answer.head.content_length == answer.bytes.size() || is_bodiless)
    answer.head.content_length.reset();
  if (response->background != Py_None) answer.background = Ref::borrow(response->background);
  if (response->trailers != Py_None && !is_bodiless) return promise_trailers(response, answer);
  return true;
}

base::Bytes body_of(conn::Exchange& exchange, const PreparedAnswer& answer) {
  auto const& bytes = answer.bytes;
  if (exchange.home().in_thread()) {
    // The chain copies small ones before this call returns.
    if (bytes.size() <= base::ByteChain::copy_below) return base::Bytes::borrowed(bytes);
    if (answer.bytes_owner)
      return base::Bytes::owned(bytes, Py_NewRef(answer.bytes_owner), drop_later);
  }
  return base::Bytes::copy_of(bytes);
}

}  // namespace

bool prepare(PyObject* result, PreparedAnswer& into) {
  if (PyUnicode_CheckExact(result)) {
    into.head.preset = &text_plain();
    return set_text(result, into);
  }
  if (PyObject_TypeCheck(result, interpreter_state().types.response))
    return prepare_response(reinterpret_cast<ResponseObject*>(result), into);
  if (result == Py_None) {
    into.head.status = 204;
    return true;
  }
  return set_body(result, into);
}

// False and an exception raised where the file cannot be read.
bool choose_pieces(conn::Exchange& exchange, PreparedAnswer& answer) {
  count(exchange, &trace::LoopCounters::files_opened);
  auto const method = exchange.head.method();
  bool const is_read = method == http::Method::get || method == http::Method::head;
  auto& head = answer.head;
  base::Status status;
  {
    LockGivenUp const unlocked;  // a disk may take its time
    // A Response that is kept may have been made long ago.
    if (int const error = net::look_again(answer.file); error != 0) {
      status = net::system_error(error, "cannot look at a file that is to be sent");
    } else if (is_read && head.status == 200) {
      auto chosen = server::answer_with_file(exchange.head, answer.file, std::move(head.fields),
                                             std::time(nullptr));
      if (chosen) {
        head = std::move(chosen->head);
        answer.pieces = std::move(chosen->body);
      }
      status = chosen.take_status();
    } else {
      status = server::append_file(answer.pieces, answer.file, 0, answer.file.size);
    }
  }
  if (!status) raise_error(status.error());
  return static_cast<bool>(status);
}

bool prepare_for(conn::Exchange& exchange, PyObject* result, PreparedAnswer& answer) {
  if (!prepare(result, answer)) return false;
  if (answer.trailers && !takes_trailers(exchange.head)) {
    answer.trailers.reset();
    answer.head.fields.remove(FieldId::trailer);
  }
  return answer.form != PreparedAnswer::Form::file || choose_pieces(exchange, answer);
}

bool collect_trailers(const PreparedAnswer& answer, http::Fields& into) {
  if (!answer.trailers) return true;
  Ref const items(PyMapping_Items(answer.trailers.get()));
  if (!items) return false;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items.get()); ++i) {
    auto* const pair = PyList_GET_ITEM(items.get(), i);
    auto* const given = PyTuple_GET_ITEM(pair, 1);
    Ref const value(PyCallable_Check(given) ? PyObject_CallNoArgs(given) : Py_NewRef(given));
    if (!value) return false;
    if (!PyUnicode_Check(value.get())) {
      PyErr_Format(PyExc_TypeError, "the trailer %R is a str, or a function that gives one",
                   PyTuple_GET_ITEM(pair, 0));
      return false;
    }
    Ref room;
    auto const text = field_bytes(value.get(), room);
    if (!text.data()) return false;
    auto const status = into.add_checked(utf8_of(PyTuple_GET_ITEM(pair, 0)), text);
    if (!status) {
      raise_error(status.error());
      return false;
    }
  }
  return true;
}

void send(conn::Exchange& exchange, PreparedAnswer& answer) {
  if (answer.form == PreparedAnswer::Form::file) {
    exchange.reply_in_pieces(std::move(answer.head), std::move(answer.pieces));
    return;
  }
  auto body = body_of(exchange, answer);
  if (!answer.head.content_length) {
    exchange.reply(std::move(answer.head), std::move(body));
    return;
  }
  // A length of the handler's own: what does not match it breaks off, as with a streamed body. HEAD
  // has none to match.
  bool const is_head = exchange.head && exchange.head.method() == http::Method::head;
  exchange.start(std::move(answer.head));
  if (!is_head && !body.empty())
    (void)exchange.write(std::move(body));  // nothing follows that had to wait
  exchange.finish();
}

base::Bytes chunk_bytes(PyObject* chunk, conn::Exchange& exchange) {
  PreparedAnswer piece;
  if (PyUnicode_Check(chunk)) {
    if (!set_text(chunk, piece)) return {};
  } else if (PyBytes_Check(chunk)) {
    set_bytes(chunk, piece);
  } else if (PyByteArray_Check(chunk) || PyMemoryView_Check(chunk)) {
    if (!set_copy(chunk, piece)) return {};
  } else {
    PyErr_Format(PyExc_TypeError, "a streamed body consists of str and bytes, not %.200s",
                 Py_TYPE(chunk)->tp_name);
    return {};
  }
  return body_of(exchange, piece);
}

void settle_type(PreparedAnswer& answer, PyObject* first_chunk) {
  if (answer.names_type) return;
  answer.head.preset = PyUnicode_Check(first_chunk) ? &text_plain() : &octet_stream();
}

void send_status(conn::Exchange& exchange, std::uint16_t status) {
  exchange.reply({.status = status, .preset = &text_plain(), .fields = {}, .content_length = {}},
                 base::Bytes::borrowed(http::reason_phrase(status)));
}

}  // namespace millrace::python
