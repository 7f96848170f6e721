#include "millrace/server/file_answer.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "net/scratch.hpp"
#include "proto/http/requests.hpp"

#include "millrace/server/file_body.hpp"

namespace millrace::server {
namespace {

using test::head_of;

constexpr std::int64_t now = 2'000'000'000;

class AFile : public ::testing::Test {
 protected:
  net::OpenFile file_of(std::size_t size) {
    std::ofstream(path, std::ios::binary) << std::string(size, 'x');
    auto opening = net::open_file(path.c_str());
    EXPECT_EQ(opening.error, 0);
    return opening.file;
  }
  FileAnswer answer(const net::OpenFile& file, std::string_view method = "GET",
                    std::string_view fields = "", http::Fields own = {{"Content-Type", "a/b"}}) {
    auto answered = answer_with_file(head_of(method, fields), file, std::move(own), now);
    EXPECT_TRUE(answered);
    return std::move(*answered);
  }

  testing::ScratchFolder folder;
  std::string path = folder.path() + "/file";
};

TEST_F(AFile, IsReadAtOnceUpToTheLimitAndLeftInPlaceBeyond) {
  auto const at = answer(file_of(bytes_read_at_once));
  EXPECT_EQ(at.body.to_string(), std::string(bytes_read_at_once, 'x'));
  auto const past = answer(file_of(bytes_read_at_once + 1));
  EXPECT_EQ(past.body.to_string(), "[file 0+" + std::to_string(bytes_read_at_once + 1) + ']');
  EXPECT_EQ(past.head.status, 200);
}

TEST_F(AFile, IsNotReadForHead) {
  auto const told = answer(file_of(100), "HEAD");
  EXPECT_TRUE(told.body.empty());
  EXPECT_EQ(told.head.content_length, 100U);
}

TEST_F(AFile, IsSentInPartsOfMemoryOrOfTheFileByTheirSum) {
  auto const fields = "Range: bytes=0-9,5000-5009\r\n";
  auto const small = answer(file_of(100'000), "GET", fields);
  EXPECT_EQ(small.body.to_string().find("[file"), std::string::npos);
  auto const large = answer(file_of(100'000), "GET", "Range: bytes=0-9,5000-25000\r\n");
  EXPECT_NE(large.body.to_string().find("\r\n\r\n[file 0+10]\r\n--"), std::string::npos);
  EXPECT_NE(large.body.to_string().find("\r\n\r\n[file 5000+20001]\r\n--"), std::string::npos);
}

TEST_F(AFile, HasAnotherBoundaryInEachAnswer) {
  auto const file = file_of(10'000);
  auto const type = [&] {
    auto const parts = answer(file, "GET", "Range: bytes=0-9,5000-5009\r\n");
    return std::string(*parts.head.fields.find(http::FieldId::content_type));
  };
  EXPECT_NE(type(), type());
}

TEST_F(AFile, HasATagOfSizeTimeAndInode) {
  net::OpenFile const file{.descriptor = {}, .size = 255, .inode = 16, .modified = 4096};
  EXPECT_EQ(entity_tag_of(file), "\"ff-1000-10\"");
}

// What the empty tag would match, if it were read as that.
TEST_F(AFile, WithATagThatIsNoneMatchesNoTag) {
  auto const whole = answer(file_of(10), "GET", "If-None-Match: \"\"\r\n", {{"ETag", "unquoted"}});
  EXPECT_EQ(whole.head.status, 200);
}

TEST_F(AFile, ThatHasBecomeShorterBeforeItWasReadIsAnError) {
  auto const file = file_of(100);
  ASSERT_EQ(::truncate(path.c_str(), 50), 0);
  auto const answered = answer_with_file(head_of("GET", ""), file, {}, now);
  ASSERT_FALSE(answered);
  EXPECT_EQ(answered.error().code, base::Errc::body_length_mismatch);
}

}  // namespace
}  // namespace millrace::server
