// Slots, the copy on the host, and the upload.
#include "engine/tensor/step_values.h"

#include <algorithm>
#include <cstring>

namespace gan {

namespace {
constexpr size_t kBlock = 1024;  // bytes; the counters and slots of two players and a pool fit
constexpr size_t kUnit = 16;     // a slot begins at a multiple
}  // namespace

StepValues::StepValues(DeviceContext& context) : context_(context) {
  step_ = add_counters(1);
  draw_ = add_counters(1);
}

int StepValues::add_numbers(int64_t count) { return add(count, context_.real()); }
int StepValues::add_counters(int64_t count) { return add(count, DType::i32); }

int StepValues::add(int64_t count, DType dtype) {
  GAN_CHECK(count >= 1, "a slot of {} values", count);
  const size_t bytes = (size_t(count) * size_of(dtype) + kUnit - 1) / kUnit * kUnit;
  if (blocks_.empty() || blocks_.back().used + bytes > blocks_.back().host.size()) {
    const size_t size = std::max(bytes, kBlock);
    blocks_.push_back({Tensor(context_, {int64_t(size)}, DType::u8), std::vector<uint8_t>(size)});
  }
  Block& block = blocks_.back();
  slots_.push_back({blocks_.size() - 1, block.used, count, dtype});
  block.used += bytes;
  block.pending = true;
  return int(slots_.size()) - 1;
}

const StepValues::Slot& StepValues::slot_of(int slot, int64_t first, int64_t count, bool counters) const {
  const Slot& s = slots_.at(size_t(slot));
  GAN_CHECK(first >= 0 && count >= 0 && first + count <= s.count, "values {} to {} of a slot of {}", first,
            first + count, s.count);
  GAN_CHECK(counters == (s.dtype == DType::i32), "slot {} holds {}", slot, name_of(s.dtype));
  return s;
}

void StepValues::put_bytes(const Slot& slot, const void* bytes, size_t count) {
  Block& block = blocks_[slot.block];
  uint8_t* to = block.host.data() + slot.offset;
  if (std::memcmp(to, bytes, count) == 0) return;
  std::memcpy(to, bytes, count);
  block.pending = true;
}

void StepValues::put(int slot, std::span<const double> numbers) {
  const Slot& s = slot_of(slot, 0, int64_t(numbers.size()), false);
  if (s.dtype == DType::f64) return put_bytes(s, numbers.data(), numbers.size_bytes());
  const std::vector<float> rounded(numbers.begin(), numbers.end());
  put_bytes(s, rounded.data(), rounded.size() * sizeof(float));
}

void StepValues::put(int slot, std::span<const int32_t> counters) {
  put_bytes(slot_of(slot, 0, int64_t(counters.size()), true), counters.data(), counters.size_bytes());
}

void StepValues::begin_step(int64_t step, int64_t draw) {
  const int32_t step_bits = int32_t(uint32_t(step)), draw_bits = int32_t(uint32_t(draw));
  put(step_, std::span(&step_bits, 1));
  put(draw_, std::span(&draw_bits, 1));
  upload();
}

void StepValues::upload() {
  for (Block& block : blocks_) {
    if (!block.pending) continue;
    block.device.view(0, {int64_t(block.used)}).upload_bytes(block.host.data(), block.used);
    block.pending = false;
  }
}

In StepValues::in(int slot, int64_t first) const {
  const Slot& s = slots_.at(size_t(slot));
  const Block& block = blocks_[s.block];
  GAN_CHECK(first >= 0 && first < s.count, "value {} of a slot of {}", first, s.count);
  GAN_CHECK(!block.pending, "the values of this step are not on the device: call begin_step() before it");
  return {static_cast<std::byte*>(block.device.data()) + s.offset + size_t(first) * size_of(s.dtype),
          s.dtype};
}

}  // namespace gan
