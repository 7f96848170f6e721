#include "millrace/proto/http/media_type.hpp"

#include <gtest/gtest.h>

namespace millrace::http {
namespace {

TEST(MediaType, IsThatOfTheLastExtensionInAnyLetterCase) {
  EXPECT_EQ(media_type_of("index.html"), "text/html; charset=utf-8");
  EXPECT_EQ(media_type_of("a/b/INDEX.HTM"), "text/html; charset=utf-8");
  EXPECT_EQ(media_type_of("app.min.js"), "text/javascript; charset=utf-8");
  EXPECT_EQ(media_type_of("archive.tar.gz"), "application/gzip");
  EXPECT_EQ(media_type_of("font.woff2"), "font/woff2");
  EXPECT_EQ(media_type_of("a.7z"), "application/x-7z-compressed");
  EXPECT_EQ(media_type_of("a.zst"), "application/zstd");
  EXPECT_EQ(media_type_of("site.webmanifest"), "application/manifest+json");
}

TEST(MediaType, IsBytesWhereTheNameSaysNothing) {
  for (auto const* name : {"", "html", "a.", "a.nothing", "a.html.much-longer-than-any",
                           "dir.html/a", "a.htmlx", "a.htm\xff"})
    EXPECT_EQ(media_type_of(name), "application/octet-stream") << name;
}

}  // namespace
}  // namespace millrace::http
