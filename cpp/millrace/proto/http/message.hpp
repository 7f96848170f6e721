// What applications say to a codec and hear from it: the vocabulary shared by every HTTP version
// and both sides.
#pragma once
#include <cstdint>
#include <optional>
#include <variant>

#include "millrace/base/byte_chain.hpp"
#include "millrace/base/error.hpp"
#include "millrace/base/time.hpp"
#include "millrace/proto/http/head.hpp"

namespace millrace::http {

using base::Bytes;
using StreamId = std::uint64_t;

// Heads on their way out. `preset` is a constant list that outlives every codec (a route's, the
// program's); it is sent before `fields`. Content-Length, Transfer-Encoding and Date are the
// codec's business.
struct ResponseHead {
  std::uint16_t status = 200;
  const Fields* preset = nullptr;
  Fields fields;
  // Declared length of a body that is sent in pieces; without it the codec frames by other means
  // (chunks).
  std::optional<std::uint64_t> content_length;
};
struct RequestHead {
  Method method = Method::get;
  std::string method_text;  // only where method is other
  std::string target = "/";
  std::string authority;  // Host
  const Fields* preset = nullptr;
  Fields fields;
  std::optional<std::uint64_t> content_length;  // none and no Message: chunked where a body follows
  bool has_body = false;
};

// --- parts of a message, both directions
struct Data {
  Bytes bytes;
};
struct End {
  Fields trailers;
};
// The stream is over without its end. Sent: tell the peer as the protocol can.
struct Reset {
  base::Error error;
};

// --- only said
struct ResponseMessage {  // head and whole body as one value: the fast path. Its length is the
                          // body's.
  ResponseMessage() = default;
  ResponseMessage(ResponseHead&& its_head, Bytes&& its_body)
      : head(std::move(its_head)), body(std::move(its_body)) {}
  ResponseHead head;
  Bytes body;
};
// The same where the body is several pieces, slices of files among them.
struct ChainedResponse {
  ResponseHead head;
  base::ByteChain body;
};
struct RequestMessage {
  RequestHead head;
  Bytes body;
};
struct Credit {  // the reader of this stream's body can take this many more bytes
  std::size_t bytes;
};
// No new streams: answer what is open, then close. The stream id does not matter.
struct GoAway {
  // What becomes of a connection without an open stream. `one_more` loses nothing: the peer may be
  // sending a request just now. It is answered, and told that the connection closes.
  enum class Idle : std::uint8_t { close, one_more };
  Idle idle = Idle::close;
};

using Part = std::variant<ResponseHead, RequestHead, Data, End, Reset, ResponseMessage,
                          ChainedResponse, RequestMessage, Credit, GoAway>;

// --- only heard
struct HeadReceived {  // requests on a server; responses on a client, interim (1xx) ones included
  Head head;
  bool ends_stream;
};
struct Writable {};  // there is room again on this stream
// What a client sent was refused, and answered so; for those who keep a record. The last event.
struct Refused {
  Head head;  // as far as it was read; null where nothing was, or where it has been told before
  std::uint16_t status;
  std::size_t body_bytes;  // of the answer
  base::Time since;        // when its first byte came
};

struct Event {
  StreamId stream;  // 0: of what never became one
  std::variant<HeadReceived, Data, End, Reset, Writable, Refused> what;
};

// The head of an answer, where the part has one that is final: none follows it.
ResponseHead* final_head(Part& part);

// The reason phrase of a status (RFC 9110 15); empty for an unknown one.
ByteView reason_phrase(std::uint16_t status);
// The status a server answers when a request is refused for this reason.
std::uint16_t status_for(base::Errc code);

}  // namespace millrace::http
