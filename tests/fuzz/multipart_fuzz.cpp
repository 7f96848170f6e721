// Forms of both kinds in arbitrary bytes, cut in two ways.
//
// An input is a byte for the kind and the limits, one that says how the second reader's pieces are
// cut, and then the body; the boundary is "b". A broken promise aborts.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "millrace/proto/forms/form_type.hpp"
#include "millrace/proto/forms/multipart.hpp"
#include "millrace/proto/forms/parameters.hpp"
#include "millrace/proto/forms/urlencoded.hpp"

namespace {

using namespace millrace;
using base::ByteView;
using Kind = forms::MultipartParser::Event::Kind;

void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

forms::FormLimits limits_of(std::uint8_t choice) {
  forms::FormLimits limits;
  if ((choice & 1) == 0) return limits;
  limits.parts = 2;
  limits.part_head_bytes = 64;
  limits.name_bytes = 8;
  limits.total_bytes = 200;
  limits.pairs = 3;
  limits.urlencoded_bytes = 40;
  return limits;
}

// What a parser said, without the places where its data was cut.
struct Said {
  std::string text;
  std::size_t parts = 0, data = 0;
};

void hear_part(const forms::PartHead& head, const forms::FormLimits& limits, Said& said) {
  ++said.parts;
  require(said.parts <= limits.parts, "parts are limited in number");
  require(head.name.size() <= limits.name_bytes, "names are limited");
  require(head.filename.value_or("").size() <= limits.name_bytes, "names of files are, too");
  std::size_t lines = 0;
  for (auto const& [name, value] : head.lines) lines += name.size() + value.size();
  require(lines <= limits.part_head_bytes, "heads are limited");
  said.text += "<" + head.name + "|" + head.filename.value_or("-") + "|" + head.content_type + ">";
}

// False: it has failed.
bool put(forms::MultipartParser& parser, ByteView piece, const forms::FormLimits& limits,
         Said& said) {
  if (!parser.put(piece)) return false;
  for (bool in_part = said.parts > 0;;) {
    auto const event = parser.next();
    if (!event) return false;
    switch (event.value().kind) {
      case Kind::more:
        return true;
      case Kind::part:
        hear_part(parser.take_head(), limits, said);
        in_part = true;
        break;
      case Kind::data:
        require(in_part && !event.value().data.empty(), "data belongs to a part");
        said.data += event.value().data.size();
        said.text += event.value().data;
        break;
      case Kind::part_end:
        said.text += "</>";
    }
  }
}

std::string said_of(ByteView body, std::size_t step, const forms::FormLimits& limits) {
  forms::MultipartParser parser("b", limits);
  Said said;
  auto const size = body.size();
  // Of what fails, pieces decide how much was given before.
  for (; !body.empty(); body.remove_prefix(std::min(step, body.size())))
    if (!put(parser, body.substr(0, step), limits, said)) return "failed";
  require(size <= limits.total_bytes, "bodies are limited");
  require(said.data <= size, "data is of the body");
  return parser.finish() ? said.text : "failed";
}

std::string pairs_of(ByteView body, std::size_t step, const forms::FormLimits& limits) {
  forms::UrlencodedParser parser(limits);
  auto const size = body.size();
  for (; !body.empty(); body.remove_prefix(std::min(step, body.size())))
    if (!parser.put(body.substr(0, step))) return "failed";
  require(size <= limits.urlencoded_bytes, "urlencoded bodies are limited");
  if (!parser.finish()) return "failed";
  require(parser.pairs().size() <= limits.pairs, "pairs are limited in number");
  std::string text;
  std::size_t bytes = 0;
  for (auto const& [name, value] : parser.pairs()) {
    bytes += name.size() + value.size();
    text.append(name).append("=").append(value).append("&");
  }
  require(bytes <= size, "decoding makes nothing longer");
  return text;
}

void look_at_type(ByteView text) {
  auto const type = forms::read_form_type("multipart/form-data" + std::string(text));
  if (!type) return;
  auto const& boundary = type.value().boundary;
  require(!boundary.empty() && boundary.size() <= 70, "a boundary has 1 to 70 bytes");
  require(boundary.find_first_of("\r\n") == std::string::npos, "and none that ends a line");
  (void)forms::read_parameters(text, forms::Quoting::form);
}

}  // namespace

// As in http1_fuzz.cpp: the run's memory limit is to see growth of ours.
extern "C" const char* __asan_default_options() { return "quarantine_size_mb=16"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  if (size < 2) return 0;
  auto const limits = limits_of(input[0]);
  std::size_t const step = input[1] % 16 + 1;
  ByteView const body(reinterpret_cast<const char*>(input) + 2, size - 2);
  require(said_of(body, body.size() + 1, limits) == said_of(body, step, limits),
          "cuts change nothing");
  require(pairs_of(body, body.size() + 1, limits) == pairs_of(body, step, limits),
          "cuts change nothing in pairs");
  look_at_type(body);
  return 0;
}
