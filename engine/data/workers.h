// Work on many pictures by several threads.
#pragma once
#include <cstdint>
#include <functional>

namespace gan {

// Calls f(i) for i in [0, count) on `workers` threads (0: one per core), or on as many as the system can start. The
// first exception is thrown again here.
void parallel_for(int64_t count, int workers, const std::function<void(int64_t)>& f);

}  // namespace gan
