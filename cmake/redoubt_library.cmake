# redoubt_library(NAME [DIR path/under/src] LINKS lib... [PRIVATE_LINKS lib...] [TEST_LINKS lib...] PACKAGES target...
#                 [EXCLUDE subfolder...])
#
# A static library of every .cc under src/DIR (DIR defaults to NAME), and, when tests/unit/DIR holds *_test.cc files, one
# GoogleTest program `NAME_test` of them. Other libraries' headers are reached through build/include/LIB/DIR links, so only
# what LINKS names (and what those link) can be included: the dependency rule is enforced by the compiler. PRIVATE_LINKS are for
# this library's own sources only, TEST_LINKS for its tests.
define_property(GLOBAL PROPERTY REDOUBT_TESTS BRIEF_DOCS "all unit-test programs")

# The precompiled header is made by hand, not by target_precompile_headers: named by a path relative to the build folder, it
# lets the compiler cache share objects between checkouts.
configure_file(${CMAKE_SOURCE_DIR}/cmake/pch.h ${CMAKE_BINARY_DIR}/pch/pch.h COPYONLY)
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
get_directory_property(global_options COMPILE_OPTIONS)
set(pch_flags "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${build_type}}")
separate_arguments(pch_flags)
foreach(option ${global_options})
  string(REGEX REPLACE "^\\$<.*SHELL:(.*)>$" "\\1" option "${option}")
  string(REPLACE "$<SEMICOLON>" ";" option "${option}")
  list(APPEND pch_flags ${option})
endforeach()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(pch_file pch/pch.h.pch)
  # Templates that the header's own functions need are made with it, once, not at the end of every file.
  list(APPEND pch_flags -fpch-instantiate-templates)
else()
  set(pch_file pch/pch.h.gch)
endif()
# A precompiled header names its checkout inside, so its own bytes differ where its meaning does not: the checksum beside it is
# what the compiler cache goes by (pch_external_checksum).
file(SHA256 ${CMAKE_SOURCE_DIR}/cmake/pch.h pch_sum)
string(SHA256 pch_sum "${pch_sum} ${pch_flags} ${CMAKE_CXX_COMPILER_VERSION}")
file(WRITE ${CMAKE_BINARY_DIR}/${pch_file}.sum ${pch_sum})
add_custom_command(OUTPUT ${CMAKE_BINARY_DIR}/${pch_file}
  COMMAND ${CMAKE_CXX_COMPILER} ${pch_flags} ${CMAKE_CXX23_STANDARD_COMPILE_OPTION} -DFMT_SHARED
          -x c++-header pch/pch.h -o ${pch_file}
  WORKING_DIRECTORY ${CMAKE_BINARY_DIR} DEPENDS ${CMAKE_BINARY_DIR}/pch/pch.h
  COMMENT "Precompiling the header that every file reads" VERBATIM)
add_custom_target(redoubt_pch DEPENDS ${CMAKE_BINARY_DIR}/${pch_file})

function(redoubt_use_pch target)
  add_dependencies(${target} redoubt_pch)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:SHELL:-include$<SEMICOLON>pch/pch.h>)
  get_target_property(sources ${target} SOURCES)
  set_property(SOURCE ${sources} APPEND PROPERTY OBJECT_DEPENDS ${CMAKE_BINARY_DIR}/${pch_file})
endfunction()

function(redoubt_expose name dir)
  set(root ${CMAKE_BINARY_DIR}/include/${name})
  get_filename_component(parent ${root}/${dir} DIRECTORY)
  file(MAKE_DIRECTORY ${parent})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/src/${dir} ${root}/${dir} SYMBOLIC)
  target_include_directories(${name} PUBLIC ${root})
endfunction()

function(redoubt_library name)
  cmake_parse_arguments(arg "" "DIR" "LINKS;PRIVATE_LINKS;TEST_LINKS;PACKAGES;EXCLUDE" ${ARGN})
  if(NOT arg_DIR)
    set(arg_DIR ${name})
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${arg_DIR}/*.cc)
  foreach(sub ${arg_EXCLUDE})
    list(FILTER sources EXCLUDE REGEX "/src/${arg_DIR}/${sub}/")
  endforeach()
  if(NOT sources)
    file(WRITE ${CMAKE_BINARY_DIR}/empty/${name}.cc "")
    set(sources ${CMAKE_BINARY_DIR}/empty/${name}.cc)
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PRIVATE redoubt_warnings ${arg_PRIVATE_LINKS})
  target_link_libraries(${name} PUBLIC ${arg_LINKS} ${arg_PACKAGES} fmt::fmt OpenSSL::SSL Threads::Threads)
  redoubt_use_pch(${name})
  redoubt_expose(${name} ${arg_DIR})

  file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${arg_DIR}/*_test.cc)
  foreach(sub ${arg_EXCLUDE})
    list(FILTER tests EXCLUDE REGEX "/tests/unit/${arg_DIR}/${sub}/")
  endforeach()
  if(tests)
    add_executable(${name}_test ${tests})
    target_include_directories(${name}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_link_libraries(${name}_test PRIVATE ${name} ${arg_TEST_LINKS} redoubt_warnings GTest::gmock GTest::gtest_main)
    redoubt_use_pch(${name}_test)
    set_property(GLOBAL APPEND PROPERTY REDOUBT_TESTS ${name}_test)
  endif()
endfunction()

# redoubt_fuzzer(NAME SOURCE LINKS lib...): a libFuzzer program, built in the fuzz preset only.
function(redoubt_fuzzer name source)
  if(NOT REDOUBT_FUZZ)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "LINKS" ${ARGN})
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE ${arg_LINKS} redoubt_warnings)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()
