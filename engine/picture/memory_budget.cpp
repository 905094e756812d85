#include "engine/picture/memory_budget.h"

#include <algorithm>

namespace gan {

void MemoryBudget::take(size_t bytes) {
  std::unique_lock lock(mutex_);
  const uint64_t place = next_place_++;
  changed_.wait(lock, [&] {
    const bool fits = taken_ == 0 || (taken_ < limit_ && bytes <= limit_ - taken_);
    return place == first_in_line_ && fits;
  });
  ++first_in_line_;
  taken_ += bytes;
  most_taken_ = std::max(most_taken_, taken_);
  changed_.notify_all();
}

void MemoryBudget::give_back(size_t bytes) {
  const std::lock_guard lock(mutex_);
  taken_ -= bytes;
  changed_.notify_all();
}

size_t MemoryBudget::most_taken() const {
  const std::lock_guard lock(mutex_);
  return most_taken_;
}

}  // namespace gan
