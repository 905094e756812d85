// The memory pool of a device.
#include <doctest/doctest.h>

#include "engine/tensor/device.h"

using namespace gan;

TEST_CASE("the pool merges what comes back and hands out aligned blocks") {
  const Memory& memory = find_backend(Device::cpu)->memory;
  MemoryPool pool(memory, false);
  std::vector<void*> blocks;
  for (size_t bytes : {1u, 500u, 513u, 100000u, 3u << 20}) {
    blocks.push_back(pool.allocate(bytes));
    CHECK(reinterpret_cast<size_t>(blocks.back()) % 128 == 0);
  }
  const size_t reserved = pool.reserved_bytes();
  for (size_t i : {1, 3, 0, 4, 2}) pool.release(blocks[i]);
  CHECK(pool.live_bytes() == 0);
  void* whole = pool.allocate(reserved);  // fits only if everything was merged again
  CHECK(pool.reserved_bytes() == reserved);
  pool.release(whole);
  CHECK(pool.peak_bytes() == reserved);
}
