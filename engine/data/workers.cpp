// Threads that take the next piece of work until there is none.
#include "engine/data/workers.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace gan {

namespace {
int thread_count(int workers) {
  return workers > 0 ? workers : std::max(1, int(std::thread::hardware_concurrency()));
}
}  // namespace

void parallel_for(int64_t count, int workers, const std::function<void(int64_t)>& f) {
  std::atomic<int64_t> next{0};
  std::exception_ptr problem;
  std::mutex mutex;
  auto work = [&] {
    for (int64_t i; (i = next++) < count;) {
      try {
        f(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!problem) problem = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<std::thread> threads;
  try {
    for (int t = 1; t < std::min<int64_t>(thread_count(workers), count); ++t) threads.emplace_back(work);
  } catch (const std::system_error&) {  // the system gives no more threads: those that are there do the work
  }
  work();
  for (auto& thread : threads) thread.join();
  if (problem) std::rethrow_exception(problem);
}

}  // namespace gan
