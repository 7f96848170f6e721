#include "millrace/proto/http/file_path.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace::http {
namespace {

using namespace std::string_literals;

TEST(FilePath, MayNameAFileOrAFolder) {
  for (auto const* path :
       {"", "a", "a.txt", "a/b/c.txt", "a/", "a/b/", "a..b", "a...", "ü", "a b", "-"})
    EXPECT_TRUE(may_name_file(path, DotFiles::refused)) << path;
}

TEST(FilePath, NamesNothingThatItDoesNotSeemToName) {
  for (auto const& path :
       {"/"s, "/etc/passwd"s, "a//b"s, "//"s, ".."s, "../a"s, "a/.."s, "a/../b"s, "."s, "./a"s,
        "a/./b"s, "a\\b"s, "..\\a"s, "\\"s, "a\0b"s, "a\nb"s, "a\x7f"s, "a/\t"s})
    for (auto const dot_files : {DotFiles::refused, DotFiles::served})
      EXPECT_FALSE(may_name_file(path, dot_files)) << path;
}

TEST(FilePath, BeginsWithADotOnlyWhereThatIsServed) {
  for (auto const* path : {".env", ".git/config", "a/.htaccess", "a/.b/c", "..."}) {
    EXPECT_FALSE(may_name_file(path, DotFiles::refused)) << path;
    EXPECT_TRUE(may_name_file(path, DotFiles::served)) << path;
  }
}

TEST(FilePath, IsEscapedForALocation) {
  EXPECT_EQ(escape_path("/a-b/c.d~e_f:@!$&'()*+,;=0"), "/a-b/c.d~e_f:@!$&'()*+,;=0");
  EXPECT_EQ(escape_path("/a b?c#d%e\"<>\\^`{|}\xc3\xa9"),
            "/a%20b%3Fc%23d%25e%22%3C%3E%5C%5E%60%7B%7C%7D%C3%A9");
}

}  // namespace
}  // namespace millrace::http
