// What a client says about content codings (RFC 9110 12.5.3).
#pragma once
#include <span>

#include "millrace/proto/http/head.hpp"

namespace millrace::http {

// The index of the coding that suits the client best among those there are; at equal weights the
// first one. None where the client wants the representation as it is, or says nothing.
// `codings`: lower case.
std::optional<std::size_t> choose_coding(const Head& request, std::span<const ByteView> codings);

// A coding's weight in thousandths; none where the field's lines do not name it, "*" included.
std::optional<int> weight_of(const Head& request, ByteView lower_case_coding);

}  // namespace millrace::http
