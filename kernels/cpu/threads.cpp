// The threads that device cpu computes with, and how they wait for each other.
#include <omp.h>
#include <unistd.h>

#include <cstdlib>

#include "kernels/kernels.h"

namespace gan {

int arithmetic_threads() { return omp_get_max_threads(); }

// libgomp's threads spin for milliseconds before they sleep, and on a machine with other work they spin away the
// time that the others would have needed: steps take two to three times as long. To sleep at once costs small steps
// as much on a quiet machine. So many rounds are some ten microseconds: steps lose about a hundredth when it is
// quiet, and little when it is not. The library reads this when it is loaded, before main(), hence the second start.
void wait_briefly(char** arguments) {
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")) return;
  setenv("GOMP_SPINCOUNT", "10000", 1);
  execv("/proc/self/exe", arguments);  // where this fails, threads wait as they do
}

}  // namespace gan
