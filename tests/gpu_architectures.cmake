# third_party/gpu_architectures.cmake with drivers that say different things. Run by ctest:
#   cmake -D ROOT=... -D WORK=a folder to work in -P gpu_architectures.cmake
include(${ROOT}/third_party/gpu_architectures.cmake)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK}/bin)
set(ENV{PATH} "${WORK}/bin:/usr/bin:/bin")
set(CMAKE_PROGRAM_PATH ${WORK}/bin)

# SAID: what nvidia-smi prints, or nothing for a machine without one. CODE: its exit code.
function(expect wanted code said)
  file(REMOVE ${WORK}/bin/nvidia-smi)
  if(NOT said STREQUAL "")
    file(WRITE ${WORK}/bin/nvidia-smi "#!/bin/sh\nprintf '${said}'\nexit ${code}\n")
    file(CHMOD ${WORK}/bin/nvidia-smi PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
  endif()
  gan_gpu_architectures(got)
  if(NOT got STREQUAL wanted)
    message(SEND_ERROR "nvidia-smi says '${said}' with exit code ${code}: architectures '${got}', not '${wanted}'")
  endif()
endfunction()

set(ENV{CUDAARCHS} "")
find_program(real nvidia-smi PATHS /usr/bin /bin NO_DEFAULT_PATH)
if(NOT real)
  expect("80;90a-real" 0 "")                              # no driver
endif()
expect("90a-real" 0 "9.0\\n")                             # one GPU
expect("90a-real;86" 0 "9.0\\n8.6\\n9.0\\n")              # three, two of them alike
expect("120" 0 "12.0\\n")
expect("80;90a-real" 9 "NVIDIA-SMI has failed because it could not talk to driver 535.12\\n")
expect("80;90a-real" 0 "No devices were found\\n")
set(ENV{CUDAARCHS} "80")
expect("80" 0 "9.0\\n")                                   # the environment knows better
