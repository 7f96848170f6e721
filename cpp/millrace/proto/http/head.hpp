// A head as it came from the peer: its bytes, and where its parts lie. Both sides, every HTTP
// version.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/proto/http/fields.hpp"

namespace millrace::http {

enum class Method : std::uint8_t {
  get,
  head,
  post,
  put,
  delete_,
  connect,
  options,
  trace,
  patch,
  other
};

Method method_named(ByteView text);
ByteView name_of(Method method);  // empty for other

// A part of HeadBlock::bytes.
struct Span {
  std::uint32_t at = 0;
  std::uint32_t size = 0;
};

// The storage behind a Head; recycled per thread. Codecs fill it, everyone else goes through Head.
struct HeadBlock {
  struct Field {
    Span name, value;  // value without surrounding white space
    FieldId id = FieldId::other;
  };
  std::string bytes;  // the head as it came; what had to be computed (a decoded path) is appended
  std::vector<Field> fields;
  Span method_text;  // requests
  Span target;       // as sent
  Span path;       // percent-decoded and normalised (RFC 3986 6.2.2); begins with '/', or is "*" or
                   // empty (CONNECT)
  Span query;      // behind '?', as sent, without it
  Span authority;  // from an absolute-form or CONNECT target, else the Host field's value
  std::optional<std::uint64_t> content_length;
  std::uint16_t status = 0;  // responses
  Span reason;               // responses
  Method method = Method::other;
  std::uint8_t version_major = 1, version_minor = 1;
  bool keep_alive = true;  // the connection may live on after this exchange
  bool has_body = false;   // something follows: a length above 0, or chunks
  bool expects_continue = false;
  bool wants_upgrade = false;
  HeadBlock* next = nullptr;

  ByteView view(Span span) const { return {bytes.data() + span.at, span.size}; }
  void clear();  // as new, its memory kept
};

struct HeadPool {
  // Blocks kept per thread: about 2.5 kB each.
  static constexpr std::size_t kept_blocks = 1024;
  // A block whose bytes grew past this is not kept, so that one large head does not stay resident.
  static constexpr std::size_t kept_bytes = 8 * 1024;
  static HeadBlock* take();
  static void give(HeadBlock* block);
};

struct RecycleHead {
  void operator()(HeadBlock* block) const { HeadPool::give(block); }
};
using HeadBlockPtr = std::unique_ptr<HeadBlock, RecycleHead>;

// A received head: a move-only handle of 8 bytes. Views it returns live as long as it does. One
// owner at a time; may change threads with its owner.
class Head {
 public:
  Head() = default;
  explicit Head(HeadBlockPtr block) : block_(std::move(block)) {}
  explicit operator bool() const { return block_ != nullptr; }
  Head copy() const;

  Method method() const { return block_->method; }
  ByteView method_text() const { return block_->view(block_->method_text); }
  ByteView target() const { return block_->view(block_->target); }
  // As it came, without its end; of a head that was refused perhaps not whole.
  ByteView start_line() const {
    ByteView const bytes = block_->bytes;
    return bytes.substr(0, bytes.find_first_of("\r\n"));
  }
  ByteView path() const { return block_->view(block_->path); }
  ByteView query() const { return block_->view(block_->query); }
  ByteView authority() const { return block_->view(block_->authority); }
  std::uint16_t status() const { return block_->status; }
  ByteView reason() const { return block_->view(block_->reason); }
  std::optional<std::uint64_t> content_length() const { return block_->content_length; }
  std::uint8_t version_major() const { return block_->version_major; }
  std::uint8_t version_minor() const { return block_->version_minor; }
  bool keep_alive() const { return block_->keep_alive; }
  bool has_body() const { return block_->has_body; }
  bool expects_continue() const { return block_->expects_continue; }
  bool wants_upgrade() const { return block_->wants_upgrade; }

  std::size_t size() const { return block_->fields.size(); }
  ByteView name(std::size_t i) const { return block_->view(block_->fields[i].name); }
  ByteView value(std::size_t i) const { return block_->view(block_->fields[i].value); }
  FieldId id(std::size_t i) const { return block_->fields[i].id; }
  // The first field with this name.
  std::optional<ByteView> find(ByteView lower_case_name) const;
  std::optional<ByteView> find(FieldId id) const;
  // As if the peer had sent it last. Trusted input, from those who look at the head before its
  // reader does: views taken before are invalid.
  void add(ByteView name, ByteView value);
  // Every field with this name; without Content-Length there is no content_length().
  void remove(ByteView lower_case_name);
  // In place of what the target or Host said. As for add().
  void set_authority(ByteView authority);

 private:
  HeadBlockPtr block_;
};

}  // namespace millrace::http
