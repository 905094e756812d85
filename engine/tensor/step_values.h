// What changes from one training step to the next: step and draw number, learning rates, places in a pool.
// They lie in a small block on the device, where kernels read them, so that a step's launches are the same
// every time and can be run again (engine/tensor/recording.h).
//
// Whoever needs such values asks for a slot once, and puts new ones in before each step. That writes to a
// copy on the host; begin_step() brings all of it to the device in one upload. Reading a slot whose new
// values are not there yet is an error.
#pragma once
#include <span>
#include <vector>

#include "engine/tensor/tensor.h"

namespace gan {

class StepValues {
 public:
  explicit StepValues(DeviceContext& context);

  // Room for `count` neighbouring values, 0 at first: numbers of the context's real type, or counters of 32
  // bits. The result names them. They never move, and stay as long as the context.
  int add_numbers(int64_t count);
  int add_counters(int64_t count);

  // The values of a slot, as many as it has or fewer, from its first on. Equal ones change nothing.
  void put(int slot, std::span<const double> numbers);
  void put(int slot, std::span<const int32_t> counters);

  // Before a step: `step` steps were done and `draw` batches drawn before it, both modulo 2^32. Uploads what
  // was put into any slot. To call it again with the same values uploads nothing.
  void begin_step(int64_t step, int64_t draw);
  void upload();  // what was put, without a new step

  // Where a kernel finds value `first` of a slot and those behind it.
  In in(int slot, int64_t first = 0) const;
  In step() const { return in(step_); }
  In draw() const { return in(draw_); }

 private:
  // A block on the device and what it shall hold. Another one is begun only when the last is full.
  struct Block {
    Tensor device;
    std::vector<uint8_t> host;
    size_t used = 0;
    bool pending = false;  // host is newer
  };
  struct Slot {
    size_t block, offset;  // offset in bytes
    int64_t count;
    DType dtype;
  };
  int add(int64_t count, DType dtype);
  const Slot& slot_of(int slot, int64_t first, int64_t count, bool counters) const;
  void put_bytes(const Slot& slot, const void* bytes, size_t count);

  DeviceContext& context_;
  std::vector<Block> blocks_;
  std::vector<Slot> slots_;
  int step_ = 0, draw_ = 0;
};

}  // namespace gan
