// What can go wrong, in one list, and the value that says so.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::base {

// One enumerator per failure that a caller may want to tell apart. Each has a row in error.cpp
// (its sentence, whose fault, whether to retry); a test walks the list.
enum class Errc : std::uint8_t {
  // Protocol: the peer sent something that the rules forbid.
  malformed_message,
  conflicting_framing,
  bad_host,
  bad_line_end,
  bad_version,
  bad_chunk,
  bad_target,
  unsupported_transfer_coding,
  bad_content_coding,
  unexpected_message,
  incomplete_message,
  unsupported_media_type,
  // Limits: legal, but more than we take.
  target_too_long,
  head_too_large,
  too_many_fields,
  body_too_large,
  message_too_large,
  too_many_connections,
  overloaded,
  // Time.
  header_timeout,
  body_timeout,
  read_timeout,
  idle_timeout,
  write_timeout,
  connect_timeout,
  // Network.
  connection_refused,
  connection_reset,
  connection_closed,
  address_in_use,
  address_not_available,
  name_not_found,
  out_of_descriptors,
  disk_full,
  io_error,
  // Ours: the application broke a rule of the protocol.
  body_length_mismatch,
  invalid_field,
  invalid_message,
  wrong_state,
  cancelled,
  invalid_option,
  count_,
};

enum class Fault : std::uint8_t { local, peer, network };
enum class Retry : std::uint8_t { never, on_new_connection, always };

struct ErrcRow {
  Errc code;
  std::string_view name;      // the enumerator's own word; Python's class is found by it
  std::string_view sentence;  // for people
  Fault fault;
  Retry retry;
};

std::span<const ErrcRow> error_table();
const ErrcRow& describe(Errc code);

// What went wrong, whose fault it was, and whether trying again can help.
struct Error {
  Errc code;
  std::string_view rule;  // clause broken, e.g. "RFC 9112 6.3"; static text, may be empty
  std::string detail;     // the values seen; for people, never parsed

  Fault fault() const { return describe(code).fault; }
  Retry retry() const { return describe(code).retry; }
  std::string message() const;
};

// Result of an operation that returns nothing. A pointer, so that success costs one register.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::make_unique<Error>(std::move(error))) {}
  explicit operator bool() const { return error_ == nullptr; }
  // Only when it failed.
  const Error& error() const { return *error_; }
  Error take_error() { return std::move(*error_); }

 private:
  std::unique_ptr<Error> error_;
};

inline Status failure(Errc code, std::string_view rule = {}, std::string detail = {}) {
  return Status(Error{code, rule, std::move(detail)});
}

// A value or an error. std::expected's meaning, until the compiler brings it in this dialect.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : status_(std::move(error)) {}
  Result(Status status) : status_(std::move(status)) {}
  explicit operator bool() const { return static_cast<bool>(status_); }
  T& value() { return value_; }
  const T& value() const { return value_; }
  T& operator*() { return value_; }
  T* operator->() { return &value_; }
  const Error& error() const { return status_.error(); }
  Error take_error() { return status_.take_error(); }
  Status take_status() { return std::move(status_); }

 private:
  T value_{};
  Status status_;
};

}  // namespace millrace::base
