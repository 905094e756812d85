// A bound on memory that several threads take at one time.
#pragma once
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace gan {

class MemoryBudget {
 public:
  explicit MemoryBudget(size_t limit) : limit_(limit) {}

  // Waits until `bytes` more are free, or until nothing is taken: who needs more than the limit goes on
  // alone. In the order of the calls, so that what is large gets its turn too. A thread that waits must hold
  // nothing.
  void take(size_t bytes);
  void give_back(size_t bytes);
  size_t most_taken() const;  // at one time, so far

 private:
  const size_t limit_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  size_t taken_ = 0, most_taken_ = 0;
  uint64_t next_place_ = 0, first_in_line_ = 0;
};

}  // namespace gan
