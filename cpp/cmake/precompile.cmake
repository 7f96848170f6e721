# Headers that many sources name, compiled once and read by all of them.

# Every target of a group must be compiled with the same options: the first compiles for all.
function(precompile_once group target)
  get_property(first GLOBAL PROPERTY MILLRACE_PRECOMPILED_${group})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
    return()
  endif()
  target_precompile_headers(${target} PRIVATE ${ARGN})
  set_property(GLOBAL PROPERTY MILLRACE_PRECOMPILED_${group} ${target})
endfunction()

# The standard library's, for a layer of the engine.
function(precompile_standard_headers target)
  if(NOT MILLRACE_PRECOMPILE)
    return()
  endif()
  precompile_once(engine ${target}
    <algorithm> <array> <atomic> <bit> <charconv> <chrono> <cstddef> <cstdint> <cstring>
    <functional> <limits> <memory> <mutex> <optional> <span> <string> <string_view> <system_error>
    <thread> <utility> <variant> <vector>)
endfunction()
