# The libraries behind content codings: gzip and deflate (zlib streams, libdeflate what is whole),
# br, zstd.
find_package(PkgConfig)
if(NOT PkgConfig_FOUND)
  message(FATAL_ERROR
    "pkg-config is missing. Install Debian's package pkg-config (apt-get install pkg-config)")
endif()

add_library(content_codings INTERFACE)
foreach(row IN ITEMS "zlib zlib1g-dev" "libdeflate libdeflate-dev" "libbrotlienc libbrotli-dev"
                     "libbrotlidec libbrotli-dev" "libzstd libzstd-dev")
  separate_arguments(row)
  list(GET row 0 module)
  list(GET row 1 package)
  pkg_check_modules(${module} QUIET IMPORTED_TARGET ${module})
  if(NOT ${module}_FOUND)
    message(FATAL_ERROR
      "${module} is missing. Install Debian's package ${package} (apt-get install ${package}), or "
      "name the folder of its .pc file in the environment variable PKG_CONFIG_PATH")
  endif()
  target_link_libraries(content_codings INTERFACE PkgConfig::${module})
endforeach()
