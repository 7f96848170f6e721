# What every target of ours is compiled with.
add_library(millrace_warnings INTERFACE)
target_compile_options(millrace_warnings INTERFACE
  -Wall -Wextra -Wpedantic $<$<BOOL:${MILLRACE_WERROR}>:-Werror>
  # Designated initialisers that leave members at their defaults are how options are written here.
  -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 sees overlapping copies in std::string where there are none (GCC bug 105329).
  target_compile_options(millrace_warnings INTERFACE -Wno-restrict)
  if(MILLRACE_SANITIZE)
    # The sanitizers' own branches confuse the flow analysis.
    target_compile_options(millrace_warnings INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
