#include "millrace/proto/http/content_encoding.hpp"

#include <gtest/gtest.h>

namespace millrace::http {
namespace {

using coding::Coding;
using Codings = std::vector<Coding>;

Head head_with(std::initializer_list<ByteView> values) {
  HeadBlockPtr block(HeadPool::take());
  auto const add = [&](ByteView text) {
    auto const at = static_cast<std::uint32_t>(block->bytes.size());
    block->bytes.append(text);
    return Span{at, static_cast<std::uint32_t>(text.size())};
  };
  for (auto const value : values) {
    auto const name = add("Content-Encoding");
    block->fields.push_back({name, add(value), FieldId::other});
  }
  return Head(std::move(block));
}

TEST(ContentCodings, AreListedInTheirOrderOverAllLines) {
  EXPECT_EQ(content_codings(head_with({}), 1), Codings{});
  EXPECT_EQ(content_codings(head_with({"x-gzip"}), 1), Codings{Coding::gzip});
  EXPECT_EQ(content_codings(head_with({"GZIP ,, br", "zstd"}), 3),
            (Codings{Coding::gzip, Coding::br, Coding::zstd}));
}

TEST(ContentCodings, LeaveOutIdentity) {
  EXPECT_EQ(content_codings(head_with({"identity, deflate"}), 1), Codings{Coding::deflate});
}

TEST(ContentCodings, HaveNoValueWhereOneIsUnknown) {
  EXPECT_EQ(content_codings(head_with({"gzip, compress"}), 9), std::nullopt);
  EXPECT_EQ(content_codings(head_with({"gzip;q=1"}), 9), std::nullopt);
}

TEST(ContentCodings, HaveNoValueAboveTheirLimit) {
  EXPECT_TRUE(content_codings(head_with({"gzip, gzip"}), 2));
  EXPECT_EQ(content_codings(head_with({"gzip, gzip"}), 1), std::nullopt);
}

TEST(Head, LosesAFieldThatIsRemoved) {
  auto head = head_with({"gzip", "br"});
  head.remove("content-encoding");
  EXPECT_EQ(head.size(), 0u);
}

}  // namespace
}  // namespace millrace::http
