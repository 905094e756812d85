// Memory pool, device context and the choice of a device.
#include "engine/tensor/device.h"

#include "engine/tensor/step_values.h"
#include "engine/tensor/tape.h"
#include "engine/tensor/trace.h"

namespace gan {

namespace {
constexpr size_t kAlignment = 512;            // of block sizes: vector loads and TMA stay legal
constexpr size_t kSegment = size_t(8) << 20;  // smallest piece asked of the system
size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }
}  // namespace

MemoryPool::~MemoryPool() {
  if (plan_) return;
  for (char* segment : segments_) memory_.release(segment);
  if (!pooled_)
    for (const auto& [address, block] : blocks_) memory_.release(address);
}

void MemoryPool::grow(size_t bytes) {
  const size_t size = std::max(bytes, kSegment);
  char* segment = next_planned_address_;
  if (plan_) next_planned_address_ += size;
  else segment = static_cast<char*>(memory_.allocate(size));
  segments_.push_back(segment);
  reserved_ += size;
  blocks_[segment] = {size, true, true};
  free_.insert({size, segment});
}

void* MemoryPool::allocate(size_t bytes) {
  if (!pooled_) {  // exact-size blocks, for address sanitizers
    char* address = static_cast<char*>(memory_.allocate(bytes));
    blocks_[address] = {bytes, false, true};
    live_ += bytes;
    peak_ = std::max(peak_, live_);
    return address;
  }
  const size_t size = round_up(std::max<size_t>(bytes, 1), kAlignment);
  auto fit = free_.lower_bound({size, nullptr});
  if (fit == free_.end()) {
    grow(size);
    fit = free_.lower_bound({size, nullptr});
  }
  auto [have, address] = *fit;
  free_.erase(fit);
  auto block = blocks_.find(address);
  block->second.free = false;
  if (have > size) {
    block->second.bytes = size;
    blocks_[address + size] = {have - size, true, false};
    free_.insert({have - size, address + size});
  }
  live_ += size;
  peak_ = std::max(peak_, live_);
  return address;
}

void MemoryPool::release(void* address) noexcept {
  auto block = blocks_.find(static_cast<char*>(address));
  if (block == blocks_.end()) return;
  live_ -= block->second.bytes;
  if (!pooled_) {
    if (keep_) return;
    memory_.release(address);
    blocks_.erase(block);
    return;
  }
  block->second.free = true;
  auto merge_next = [&](Blocks::iterator b) {
    auto next = std::next(b);
    if (next == blocks_.end() || !next->second.free || next->second.first) return;
    free_.erase({next->second.bytes, next->first});
    b->second.bytes += next->second.bytes;
    blocks_.erase(next);
  };
  merge_next(block);
  if (!block->second.first) {
    auto previous = std::prev(block);
    if (previous->second.free) {
      free_.erase({previous->second.bytes, previous->first});
      merge_next(previous);
      block = previous;
    }
  }
  free_.insert({block->second.bytes, block->first});
}

void MemoryPool::trim() {
  std::erase_if(segments_, [&](char* segment) {
    const auto block = blocks_.find(segment);
    const auto next = std::next(block);
    if (!block->second.free || (next != blocks_.end() && !next->second.first)) return false;
    free_.erase({block->second.bytes, segment});
    reserved_ -= block->second.bytes;
    blocks_.erase(block);
    if (!plan_) memory_.release(segment);
    return true;
  });
}

DeviceContext::DeviceContext(Device device, Mode mode)
    : backend_(find_backend(device)),
      mode_(mode),
      pool_(std::make_shared<MemoryPool>(
          backend_
              ? backend_->memory
              : throw Error(
                    Exit::no_device,
                    fmt::format("this build has no {} device; rebuild with the CUDA toolkit (GAN_CUDA=ON)",
                                name_of(device))),
          mode == Mode::plan,
          mode == Mode::queued ? MemoryPool::Released::again : MemoryPool::Released::as_memory)),
      tape_(std::make_unique<Tape>(*this)) {
  for (Stream* stream : {&stream_, &beside_}) {
    stream->scratch_allocate = backend_->memory.allocate;
    stream->scratch_release = backend_->memory.release;
    stream->scratch_exact = !backend_->memory.pooled && mode != Mode::queued;
  }
  const bool queued = mode == Mode::queued || (mode == Mode::run && device == Device::cuda);
  if (queued && backend_->queues.create) stream_.handle = backend_->queues.create();
}

void DeviceContext::run_seen(const char* op, const char* variant, const std::function<std::string()>& sizes,
                             const std::function<void()>& launch) {
  const Queues& queues = backend_->queues;
  if (queues.begin_range) queues.begin_range(op);
  try {
    if (trace) trace->operation(op, variant, sizes(), launch);
    else launch();
  } catch (...) {
    if (queues.end_range) queues.end_range();
    throw;
  }
  if (queues.end_range) queues.end_range();
}

void DeviceContext::fork() {
  if (!has_queues()) return;
  if (!beside_.handle) beside_.handle = backend_->queues.create();
  backend_->queues.order(stream_, beside_);
}

DeviceContext::Beside::Beside(DeviceContext& context) : context_(context) {
  GAN_CHECK(!context.recording(), "work beside a step cannot be a part of its recording");
  if (!context.has_queues()) return;
  GAN_CHECK(context.beside_.handle, "fork() says what work beside the step waits for");
  std::swap(context.stream_, context.beside_);
}

DeviceContext::Beside::~Beside() {
  if (!context_.has_queues()) return;
  std::swap(context_.stream_, context_.beside_);
  context_.backend_->queues.order(context_.beside_, context_.stream_);
}

const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::fp32: return "fp32";
    case Precision::tf32: return "tf32";
    case Precision::bf16: return "bf16";
  }
  return "?";
}

Precision precision_of(const std::string& word, Device device) {
  for (Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16})
    if (word == name_of(precision)) return precision;
  GAN_CHECK(word == "auto", "unknown precision {}", word);
  return device == Device::cuda ? Precision::bf16 : Precision::fp32;
}

void DeviceContext::set_precision(Precision precision) {
  precision_ = precision;
  use_tf32(precision == Precision::tf32);
}

DeviceContext::~DeviceContext() {
  tape_.reset();
  step_values_.reset();
  for (Stream* stream : {&stream_, &beside_}) {
    release_scratch(*stream);
    if (stream->handle) backend_->queues.destroy(stream->handle);
  }
}

StepValues& DeviceContext::step_values() {
  if (!step_values_) step_values_ = std::make_unique<StepValues>(*this);
  return *step_values_;
}

}  // namespace gan
