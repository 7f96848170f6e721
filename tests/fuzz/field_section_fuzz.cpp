// Field sections in arbitrary bytes: what the engine accepts, and the fields it finds, are what
// llhttp finds when it reads the whole section and the checks behind it pass.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "proto/http1/fields_by_llhttp.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace millrace;
  constexpr std::size_t most_fields = 8;
  base::ByteView const bytes(reinterpret_cast<const char*>(input), size);
  auto const section = test::section_of(bytes);
  if (!section) return 0;
  if (test::fields_by_engine(*section, most_fields) ==
      test::LlhttpFields::read(*section, most_fields))
    return 0;
  std::fprintf(stderr, "the engine and llhttp read different fields\n");
  std::abort();
}
