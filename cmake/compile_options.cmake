# Language, warnings, build types and sanitizers: the same for every target of ours.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

set(REDOUBT_SANITIZE "" CACHE STRING "Sanitizers, comma separated, as -fsanitize takes them")
option(REDOUBT_FUZZ "Build the libFuzzer targets" OFF)

if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(line_tables -gline-tables-only)
else()
  set(line_tables -g1)
endif()
set(CMAKE_CXX_FLAGS_DEV "-O0 ${line_tables}")
set(CMAKE_C_FLAGS_DEV "-O0 ${line_tables}")
# No NDEBUG: assertions stay on in what users run.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 ${line_tables}")
set(CMAKE_C_FLAGS_RELEASE "-O2 ${line_tables}")

add_compile_options(-fdiagnostics-color=always -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # The compiler cache can only reuse a precompiled header that carries no time stamp.
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang$<SEMICOLON>-fno-pch-timestamp>)
endif()
if(REDOUBT_SANITIZE)
  add_compile_options(-fsanitize=${REDOUBT_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${REDOUBT_SANITIZE})
endif()
if(REDOUBT_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
find_program(MOLD mold)
if(MOLD)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    add_link_options(-fuse-ld=mold)
  endif()
endif()

# Warnings for our own code (third-party headers come in as SYSTEM).
add_library(redoubt_warnings INTERFACE)
target_compile_options(redoubt_warnings INTERFACE -Wall -Wextra -Werror -Wno-missing-field-initializers
  -Wno-unused-parameter -Wno-deprecated-declarations -Wnon-virtual-dtor -Woverloaded-virtual)
