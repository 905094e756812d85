// The threads that device cpu computes with, and how they wait for each other.
#include <omp.h>
#include <unistd.h>

#include <cstdlib>

#include "kernels/kernels.h"

namespace gan {

int arithmetic_threads() { return omp_get_max_threads(); }

// libgomp's threads spin for milliseconds before they sleep, and on a machine with other work they spin away the
// time that the others would have needed: steps fall to a third. To sleep at once costs small steps as much on a
// quiet machine. So many rounds are some ten microseconds, about what waking up takes. The library reads this when
// it is loaded, before main(), hence the second start.
void wait_briefly(char** arguments) {
  if (std::getenv("GOMP_SPINCOUNT") || std::getenv("OMP_WAIT_POLICY")) return;
  setenv("GOMP_SPINCOUNT", "1000", 1);
  execv("/proc/self/exe", arguments);  // where this fails, threads wait as they do
}

}  // namespace gan
