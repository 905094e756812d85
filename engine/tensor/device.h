// A device in use: its kernels, its memory pool, its stream and its tape.
//
// A DeviceContext can also be a plan: nothing is computed and no memory is touched, but every allocation and
// every operation is counted. One step of a model on a plan gives its peak memory, its FLOP and its list of
// operations before the first real step (`--dry-run`, `gan inspect`).
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kernels/cpu/kept.h"
#include "kernels/kernels.h"

namespace gan {

class Tape;

// Device memory in blocks cut from large segments: best fit, split, merged with free neighbours on release. A
// training step asks for the same sizes in the same order every time, so from the second step on nothing
// reaches the system.
class MemoryPool {
 public:
  MemoryPool(const Memory& memory, bool plan) : memory_(memory), plan_(plan) {}
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  void* allocate(size_t bytes);  // 128-byte aligned; bytes may be 0
  void release(void* address) noexcept;
  size_t live_bytes() const { return live_; }
  size_t peak_bytes() const { return peak_; }          // largest live_bytes() so far
  size_t reserved_bytes() const { return reserved_; }  // asked of the system

 private:
  struct Block {
    size_t bytes;
    bool free;
    bool first;  // of its segment: never merged with the block before
  };
  using Blocks = std::map<char*, Block>;
  void grow(size_t bytes);

  const Memory& memory_;
  const bool plan_;
  Blocks blocks_;
  std::set<std::pair<size_t, char*>> free_;  // ordered by size, then address
  std::vector<char*> segments_;
  size_t live_ = 0, peak_ = 0, reserved_ = 0;
  char* next_planned_address_ = reinterpret_cast<char*>(size_t(1) << 40);
};

class DeviceContext {
 public:
  enum class Mode { run, plan };
  explicit DeviceContext(Device device, Mode mode = Mode::run);
  ~DeviceContext();
  DeviceContext(const DeviceContext&) = delete;
  DeviceContext& operator=(const DeviceContext&) = delete;

  const Backend& kernels() const { return *backend_; }
  Device device() const { return backend_->device; }
  bool planning() const { return mode_ == Mode::plan; }
  // The type of activations, weights and scalars: float64 on ref, else float32.
  DType real() const { return device() == Device::ref ? DType::f64 : DType::f32; }
  // True where the host can read and write device memory: on all devices but a GPU.
  bool memory_is_host() const { return device() != Device::cuda; }
  Stream& stream() { return stream_; }
  MemoryPool& pool() { return pool_; }
  Tape& tape() { return *tape_; }

  // Queues one operation. A plan only counts it.
  template <class Args>
  void run(const Op<Args>& op, const Args& args) {
    ++operations_;
    if (!planning()) op(args, stream_);
    else if constexpr (requires { planned_.note(args); })
      if (device() == Device::cpu) planned_.note(args);
  }
  int64_t operations() const { return operations_; }
  // Of a plan: what kernels would keep besides the pool.
  size_t planned_kept_bytes() const { return planned_.bytes(); }

  // The arithmetic that operations report through count_flop (convolutions and matrix products).
  void count_flop(double flop) { flop_ += flop; }
  double flop() const { return flop_; }

 private:
  const Backend* backend_;
  Mode mode_;
  Stream stream_;
  MemoryPool pool_;
  std::unique_ptr<Tape> tape_;
  int64_t operations_ = 0;
  double flop_ = 0;
  cpu::KeptByConvolutions planned_;
};

// A device block that goes back to its pool when nobody holds it.
class Storage {
 public:
  Storage(DeviceContext& context, size_t bytes)
      : context_(context), address_(context.pool().allocate(bytes)), bytes_(bytes) {}
  // Takes over bytes of the host as device memory; only where memory_is_host().
  Storage(DeviceContext& context, std::vector<uint8_t> bytes)
      : context_(context), host_(std::move(bytes)), address_(host_.data()), bytes_(host_.size()) {}
  ~Storage() {
    if (host_.empty()) context_.pool().release(address_);
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  DeviceContext& context() const { return context_; }
  std::byte* address() const { return static_cast<std::byte*>(address_); }
  size_t bytes() const { return bytes_; }
  uint64_t version = 0;  // see Tensor::version

 private:
  DeviceContext& context_;
  std::vector<uint8_t> host_;
  void* address_;
  size_t bytes_;
};

// "auto", "cpu", "cuda", "cuda:1", "simt", "ref": the device, and in words why (for auto). Throws
// Exit::no_device when a GPU is asked for and none answers, Exit::usage on another word.
struct ChosenDevice {
  Device device;
  int ordinal = 0;
  std::string why;
};
ChosenDevice choose_device(const std::string& name);

}  // namespace gan
