// From what a handler returned to what the engine sends.
#pragma once
#include "ref.hpp"

#include "millrace/conn/exchange.hpp"
#include "millrace/net/file.hpp"

namespace millrace::python {

// An answer, checked and encoded, not yet sent. Lives no longer than the result it was made from,
// unless its form says that chunks follow.
struct PreparedAnswer {
  enum class Form : std::uint8_t {
    whole,
    chunks,        // an iterator of str and bytes
    async_chunks,  // an asynchronous one
    file,
  };
  Form form = Form::whole;
  bool names_type = false;  // of chunks: the content type is settled
  http::ResponseHead head;
  base::ByteView bytes;  // of the result, of `backing`, or of this thread's JSON buffer: valid
                         // until the next prepare()
  PyObject* bytes_owner = nullptr;  // borrowed; null: the bytes have to be copied
  Ref backing;
  Ref chunks;
  net::OpenFile file;
  base::ByteChain pieces;  // what is sent of the file
  Ref background;
  Ref trailers;  // of chunks, where the client takes any
};

// False and an exception raised where the result is no answer.
bool prepare(PyObject* result, PreparedAnswer& into);
// The same for a request: of a file, what its conditions and ranges leave (RFC 9110 13, 14).
bool prepare_for(conn::Exchange& exchange, PyObject* result, PreparedAnswer& into);
// The trailers that were promised, made now that the body is out; their functions are called. False
// and an exception raised where one fails, or is no field.
bool collect_trailers(const PreparedAnswer& answer, http::Fields& into);
// Sends a whole one, or a file: the handler's side of the exchange is over.
void send(conn::Exchange& exchange, PreparedAnswer& answer);

// A piece of a streamed body; settles the content type with the first one. Empty bytes and an
// exception raised where it is neither str nor bytes-like.
base::Bytes chunk_bytes(PyObject* chunk, conn::Exchange& exchange);
void settle_type(PreparedAnswer& answer, PyObject* first_chunk);

// A status and its reason phrase as text.
void send_status(conn::Exchange& exchange, std::uint16_t status);

}  // namespace millrace::python
