# Which folder may include which: a file includes only what its folder's place in each of these orders allows.
#   the whole:  kernels <- engine <- models <- tools; nothing includes tests or bench
#   kernels/:   contract and shared, which every device includes, include no device
#   engine/:    files <- settings <- tensor <- learning <- picture <- metrics <- data <- run
#   models/:    networks <- losses <- players <- tasks <- use <- training, so that no task knows the training loop and
#               a trained model is used without it
#   tools/:     cli <- commands
cmake_policy(VERSION 3.25)
set(breaches "")

# What files under ROOT/<parent><folder>, one of `order` from left to right, include of their right-hand neighbours.
function(check_order parent order)
  foreach(folder ${order})
    list(FIND order ${folder} rank)
    file(GLOB_RECURSE files ${ROOT}/${parent}${folder}/*.h ${ROOT}/${parent}${folder}/*.cpp
                            ${ROOT}/${parent}${folder}/*.cu ${ROOT}/${parent}${folder}/*.cuh)
    if(NOT files)
      list(APPEND breaches "${parent}${folder} has no files: the order in this test is out of date")
    endif()
    foreach(file ${files})
      file(STRINGS ${file} includes REGEX "^[ \t]*#[ \t]*include[ \t]+\"${parent}[a-z]+/")
      foreach(line ${includes})
        string(REGEX REPLACE ".*\"${parent}([a-z]+)/.*" "\\1" target "${line}")
        list(FIND order "${target}" target_rank)
        if(target_rank GREATER rank OR target_rank EQUAL -1 OR "${parent}${target}" MATCHES "^(tests|bench)$")
          list(APPEND breaches "${file}: ${line}")
        endif()
      endforeach()
    endforeach()
  endforeach()
  set(breaches "${breaches}" PARENT_SCOPE)
endfunction()

# Every folder of a parent has its place.
function(check_complete parent order)
  file(GLOB entries RELATIVE ${ROOT}/${parent} ${ROOT}/${parent}*)
  foreach(entry ${entries})
    if(IS_DIRECTORY ${ROOT}/${parent}${entry} AND NOT entry IN_LIST order)
      list(APPEND breaches "${parent}${entry} has no place in the order of ${parent}")
    endif()
  endforeach()
  set(breaches "${breaches}" PARENT_SCOPE)
endfunction()

check_order("" "kernels;engine;models;tools")
check_order("kernels/" "shared;contract")
set(engine_order files settings tensor learning picture metrics data run)
check_order("engine/" "${engine_order}")
check_complete("engine/" "${engine_order}")
set(models_order networks losses players tasks use training)
check_order("models/" "${models_order}")
check_complete("models/" "${models_order}")
check_order("tools/" "cli;commands")
if(breaches)
  list(JOIN breaches "\n  " text)
  message(FATAL_ERROR "includes against the order in tests/include_direction.cmake:\n  ${text}")
endif()
