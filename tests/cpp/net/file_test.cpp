#include "millrace/net/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <fstream>

#include "net/scratch.hpp"

namespace millrace::net {
namespace {

class AFolder : public ::testing::Test {
 protected:
  std::string path(const char* name) const { return folder.path() + '/' + name; }
  void write(const char* name, std::string_view content) {
    std::ofstream(path(name), std::ios::binary) << content;
  }

  testing::ScratchFolder folder;
};

using File = AFolder;

TEST_F(File, IsOpenedWithItsSizeAndItsTime) {
  write("a", "hello");
  timespec const times[2] = {{0, UTIME_OMIT}, {1'000'000'000, 123'456'789}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path("a").c_str(), times, 0), 0);
  auto const opening = open_file(path("a").c_str());
  ASSERT_EQ(opening.error, 0);
  EXPECT_EQ(opening.file.size, 5U);
  EXPECT_EQ(opening.file.modified, 1'000'000'000'123'456'789);
  struct stat status;
  ASSERT_EQ(::stat(path("a").c_str(), &status), 0);
  EXPECT_EQ(opening.file.inode, status.st_ino);
}

TEST_F(File, IsNothingElse) {
  EXPECT_EQ(open_file(path("missing").c_str()).error, ENOENT);
  EXPECT_EQ(open_file(folder.path().c_str()).error, EISDIR);
  EXPECT_EQ(open_file("/dev/null").error, EINVAL);
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(open_file(path("pipe").c_str()).error, EINVAL);  // and does not wait for a writer
}

TEST_F(File, SaysWhereDescriptorsHaveRunOut) {
  write("a", "hello");
  testing::NoMoreDescriptors const none;
  EXPECT_EQ(open_file(path("a").c_str()).error, EMFILE);
}

TEST_F(File, IsClosedWithItsLastSlice) {
  write("a", "hello");
  auto opening = open_file(path("a").c_str());
  int const number = *opening.file.descriptor;
  auto slice = opening.file.slice(1, 3);
  opening = {};
  EXPECT_GE(::fcntl(number, F_GETFD), 0);
  std::array<char, 10> buffer{};
  auto const read = read_file(slice, buffer);
  ASSERT_TRUE(read);
  EXPECT_EQ(std::string_view(buffer.data(), read.value()), "ell");
  slice = {};
  EXPECT_LT(::fcntl(number, F_GETFD), 0);
}

TEST_F(File, IsReadInPartsUpToTheEndOfItsSlice) {
  write("a", "hello");
  auto const file = open_file(path("a").c_str()).file;
  std::array<char, 2> buffer{};
  auto const read = read_file(file.slice(1, 4), buffer);
  ASSERT_TRUE(read);
  EXPECT_EQ(std::string_view(buffer.data(), read.value()), "el");
}

TEST_F(File, ThatHasBecomeShorterIsAnError) {
  write("a", "hello");
  auto const file = open_file(path("a").c_str()).file;
  ASSERT_EQ(::truncate(path("a").c_str(), 3), 0);
  std::array<char, 10> buffer{};
  auto const read = read_file(file.slice(0, 5), buffer);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, base::Errc::body_length_mismatch);
  EXPECT_EQ(read.error().detail,
            "the file has become 2 bytes shorter than its answer had promised");
}

}  // namespace
}  // namespace millrace::net
