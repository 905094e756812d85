# Installs the build BUILD into a folder below it, then configures, builds and runs the project in SOURCE against
# that. SOURCE is used from a copy outside of the tree, so that nothing is found by accident.
set(work ${BUILD}/consumer)
file(REMOVE_RECURSE ${work})
file(COPY ${SOURCE}/ DESTINATION ${work}/source)

function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT code EQUAL 0)
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "${command}\nended with ${code}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${work}/prefix)
run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${work}/source -B ${work}/build -D CMAKE_BUILD_TYPE=Release
    -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_PREFIX_PATH=${work}/prefix)
run(${CMAKE_COMMAND} --build ${work}/build)
run(${work}/build/consumer)
if(NOT output MATCHES "^[1-9][0-9]* models, sum 132\n$")
  message(FATAL_ERROR "the consumer printed: ${output}")
endif()
run(${work}/prefix/bin/gan --version)
file(REMOVE_RECURSE ${work})
