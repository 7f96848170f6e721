# The standard headers that many sources of the engine name, compiled once and read by all of them.

# Every target that calls this must be compiled with the same options: the first compiles for all.
function(precompile_standard_headers target)
  if(NOT MILLRACE_PRECOMPILE)
    return()
  endif()
  get_property(first GLOBAL PROPERTY MILLRACE_STANDARD_HEADERS)
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
    return()
  endif()
  target_precompile_headers(${target} PRIVATE
    <algorithm> <array> <atomic> <bit> <charconv> <chrono> <cstddef> <cstdint> <cstring>
    <functional> <limits> <memory> <mutex> <optional> <span> <string> <string_view> <system_error>
    <thread> <utility> <variant> <vector>)
  set_property(GLOBAL PROPERTY MILLRACE_STANDARD_HEADERS ${target})
endfunction()
