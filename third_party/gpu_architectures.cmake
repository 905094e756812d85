# Which GPUs the cuda device is compiled for, where nobody says: those of this machine, as its driver names them at
# configure time; without a GPU the oldest that has every kernel, whose PTX newer ones compile at first use, and the
# newest in wide use, so that it need not.

# Sets `out` to a list for CUDA_ARCHITECTURES. The environment's CUDAARCHS, which is CMake's own, comes first.
function(gan_gpu_architectures out)
  if(NOT "$ENV{CUDAARCHS}" STREQUAL "")
    set(${out} "$ENV{CUDAARCHS}" PARENT_SCOPE)
    return()
  endif()
  set(found "")
  find_program(nvidia_smi nvidia-smi NO_CACHE)
  if(nvidia_smi)
    execute_process(COMMAND ${nvidia_smi} --query-gpu=compute_cap --format=csv,noheader
                    OUTPUT_VARIABLE lines RESULT_VARIABLE code ERROR_QUIET TIMEOUT 30)
    if(code EQUAL 0)
      string(REGEX MATCHALL "[0-9]+\\.[0-9]" capabilities "${lines}")
      foreach(capability IN LISTS capabilities)
        string(REPLACE "." "" architecture ${capability})
        if(architecture EQUAL 90)  # its own instructions are in no PTX for others
          set(architecture 90a-real)
        endif()
        list(APPEND found ${architecture})
      endforeach()
      list(REMOVE_DUPLICATES found)
    endif()
  endif()
  if(NOT found)
    set(found 80 90a-real)
  endif()
  set(${out} "${found}" PARENT_SCOPE)
endfunction()
