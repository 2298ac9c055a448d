# SPDX-License-Identifier: BSD-3-Clause
# cmake -DNM=nm -DFOLDER=build/release/cpp -P check_variants.cmake
# Fails when an object file made for a better instruction set defines a weak symbol: an inline function or a template that
# another file also has. The linker keeps one copy of those; were it this one, an older processor would stop on it.
file(GLOB_RECURSE objects ${FOLDER}/*.o)
list(FILTER objects INCLUDE REGEX "_x86_64_v[34]\\.dir/")
if(NOT objects)
  message(FATAL_ERROR "no object files of variants in ${FOLDER}")
endif()
foreach(object ${objects})
  execute_process(COMMAND ${NM} -C --defined-only ${object} OUTPUT_VARIABLE symbols COMMAND_ERROR_IS_FATAL ANY)
  # Instrumented code names the unwinder's routine through a pointer that all files share: data, no instructions.
  string(REGEX REPLACE "[^\n]* V DW\\.ref\\.__gxx_personality_v0" "" symbols "${symbols}")
  string(REGEX MATCH "[^\n]* [WVu] [^\n]*" weak "${symbols}")
  if(weak)
    message(FATAL_ERROR "${object} shares a function with other files: ${weak}")
  endif()
endforeach()
