// multipart/form-data (RFC 7578, RFC 2046 5.1), taken apart while it comes.
#pragma once
#include <cstdint>
#include <string>

#include "millrace/base/bytes.hpp"
#include "millrace/proto/forms/part_head.hpp"

namespace millrace::forms {

// put() a piece of the body, however it was cut, then next() until it says `more`; at the body's
// end finish(). Holds no more than a part's head. After an error nothing is to be asked any more.
// One owner at a time.
class MultipartParser {
 public:
  struct Event {
    enum class Kind : std::uint8_t {
      more,  // the piece is used up
      part,  // a part begins: take_head()
      data,  // of the part
      part_end,
    };
    Kind kind = Kind::more;
    base::ByteView data;  // of the piece or of the parser, valid until next() is called again
  };

  // `boundary`: as read_form_type() lets it pass.
  MultipartParser(base::ByteView boundary, const FormLimits& limits);

  // The bytes are looked at until next() says `more`.
  base::Status put(base::ByteView piece);
  base::Result<Event> next();
  PartHead take_head() { return std::move(head_); }
  // Errc::malformed_message where the last boundary has not come.
  base::Status finish() const;

 private:
  enum class State : std::uint8_t {
    preamble,  // ignored, as the epilogue is (RFC 2046 5.1.1)
    content,
    found,      // the delimiter behind content has come whole
    delimiter,  // has come whole: what follows it?
    dash,       // one dash of "--" has followed it
    padding,    // blanks have
    line_feed,  // CR has
    head,
    epilogue,
  };

  base::ByteView take_content();
  bool go_on_matching();
  base::Status follow_delimiter();
  base::Result<bool> collect_head();

  FormLimits const limits_;
  std::string const delimiter_;  // CR LF "--" boundary
  std::string head_text_;
  PartHead head_;
  base::ByteView piece_;
  std::uint64_t total_ = 0;
  std::size_t parts_ = 0;
  std::size_t padding_ = 0;
  // Bytes of the delimiter that the pieces before ended in. At the body's beginning, and behind a
  // head, its CR LF has come already: so many of them are borrowed from there, and no content.
  std::size_t matched_ = 2;
  std::size_t borrowed_ = 2;
  State state_ = State::preamble;
};

}  // namespace millrace::forms
