# llhttp is generated C that distributions ship as sources, so it is compiled here.
find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/share/include PATH_SUFFIXES llhttp)
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share PATH_SUFFIXES llhttp)
mark_as_advanced(LLHTTP_INCLUDE_DIR LLHTTP_SOURCE_DIR)
if(NOT LLHTTP_INCLUDE_DIR OR NOT LLHTTP_SOURCE_DIR)
  message(FATAL_ERROR
    "llhttp's C sources are missing. Install Debian's package node-llhttp (apt-get install "
    "node-llhttp), or name the folder of llhttp.h with -DLLHTTP_INCLUDE_DIR=... and the folder of "
    "llhttp.c, api.c and http.c with -DLLHTTP_SOURCE_DIR=...")
endif()

add_library(llhttp STATIC
  ${LLHTTP_SOURCE_DIR}/api.c ${LLHTTP_SOURCE_DIR}/http.c ${LLHTTP_SOURCE_DIR}/llhttp.c)
# Without it the parser lets high bytes and a space before the colon pass.
target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
target_include_directories(llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE_DIR})
# Not our code: its warnings are not ours to mend.
target_compile_options(llhttp PRIVATE -w)
