# SPDX-License-Identifier: BSD-3-Clause
# Compiler options shared by every target, and the run-time choice of the vector width.
add_library(cryolith_options INTERFACE)
target_compile_options(cryolith_options INTERFACE
  -Wall -Wextra -Wconversion
  # Contraction is chosen, never left to the compiler: baseline code rounds every operation, tuned
  # variants (below) fuse them. Otherwise GCC and Clang differ in the last bit. The choice stands here, as a
  # property, because options of an interface come after those of the target and would win.
  -ffp-contract=$<IF:$<BOOL:$<TARGET_PROPERTY:CRYOLITH_FUSE>>,fast,off>
  # The rounding-neutral part of -ffast-math: nobody reads errno of sqrt or traps on a NaN compare.
  -fno-math-errno -fno-trapping-math)
if(CRYOLITH_WERROR AND NOT CRYOLITH_SANITIZE)  # GCC 12 warns of std::sort's insides in instrumented code
  target_compile_options(cryolith_options INTERFACE -Werror)
endif()
if(CRYOLITH_SANITIZE)
  # They see the same faults with -O1 and name the same lines with -g1; GCC 12 takes 0.5 and 0.6 times as long to compile
  # with checks of addresses and of threads.
  add_compile_options(-O1 -g1)
  add_compile_options(-fsanitize=${CRYOLITH_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${CRYOLITH_SANITIZE})
  add_compile_definitions(CRYOLITH_NO_V4)  # the same source as v3 with more registers: not worth its build time here
endif()

# cryolith_add_variants(target file.cpp): compiles one file once per instruction set, each copy inside its
# own namespace (CRYOLITH_VARIANT); core/dispatch.hpp picks a copy when the program runs. Such a file may
# include only headers made for it (macros, always_inline or static functions): an inline function that is
# shared with the rest of the program could be linked from the copy that the processor cannot run.
function(cryolith_add_variants target source)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(variants baseline x86_64_v3 x86_64_v4)
    if(CRYOLITH_SANITIZE)
      set(variants baseline x86_64_v3)
    endif()
  else()
    set(variants baseline)
  endif()
  get_filename_component(stem ${source} NAME_WE)
  foreach(variant ${variants})
    set(object ${target}_${stem}_${variant})
    add_library(${object} OBJECT ${source})
    target_include_directories(${object} PRIVATE ${PROJECT_SOURCE_DIR}/cpp)
    target_link_libraries(${object} PRIVATE cryolith_options)
    target_compile_definitions(${object} PRIVATE CRYOLITH_VARIANT=${variant})
    if(NOT variant STREQUAL baseline)
      string(REGEX REPLACE "^x86_64_" "x86-64-" march ${variant})
      target_compile_options(${object} PRIVATE -march=${march})
      set_target_properties(${object} PROPERTIES CRYOLITH_FUSE ON)
    endif()
    if(CRYOLITH_SANITIZE)
      # Unrolled passes take GCC 12 minutes with a check of each reference; 40 s like this. Bad addresses are still the
      # address sanitizer's.
      target_compile_options(${object} PRIVATE -fno-sanitize=null,alignment,object-size)
    endif()
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${object}>)
  endforeach()
endfunction()
