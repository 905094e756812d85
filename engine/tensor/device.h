// A device in use: its kernels, its memory pool, its stream and its tape.
//
// A DeviceContext can also be a plan: nothing is computed and no memory is touched, but every allocation and
// every operation is counted. One step of a model on a plan gives its peak memory, its FLOP and its list of
// operations before the first real step (`--dry-run`, `gan inspect`).
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/tensor/planned_launch.h"
#include "engine/tensor/recording.h"
#include "kernels/cpu/kept.h"
#include "kernels/kernels.h"

namespace gan {

class StepValues;
class Tape;
class Trace;

// Device memory in blocks cut from large segments: best fit, split, merged with free neighbours on release. A
// training step asks for the same sizes in the same order every time, so from the second step on nothing
// reaches the system.
class MemoryPool {
 public:
  enum class Released {
    as_memory,  // what Memory::pooled says: used again, or back to the system
    again,      // used again
    kept,  // of memory that is not pooled, for a recording: not used again, and with the pool back to the system
  };
  MemoryPool(const Memory& memory, bool plan, Released released = Released::as_memory)
      : memory_(memory),
        plan_(plan),
        pooled_(plan || memory.pooled || released == Released::again),
        keep_(released == Released::kept) {}
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  void* allocate(size_t bytes);  // 128-byte aligned; bytes may be 0
  void release(void* address) noexcept;
  void trim();  // gives back to the system what is whole and free
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
  const bool plan_, pooled_, keep_;
  Blocks blocks_;
  std::set<std::pair<size_t, char*>> free_;  // ordered by size, then address
  std::vector<char*> segments_;
  size_t live_ = 0, peak_ = 0, reserved_ = 0;
  char* next_planned_address_ = reinterpret_cast<char*>(size_t(1) << 40);
};

// What products compute in. Weights that are learnt, statistics, losses and moments are float32 in each.
enum class Precision : uint8_t {
  fp32,
  tf32,  // float32 in memory; products round their factors to 10 bits where the device has such products
  bf16,  // activations and the weights that products read are bfloat16
};
const char* name_of(Precision precision);  // "fp32"
Precision precision_of(const std::string& word,
                       Device device);  // of --precision; "auto": bf16 on cuda, else fp32

class DeviceContext {
 public:
  enum class Mode {
    run,
    plan,
    queued,  // as run, and simt works as a GPU does: later, in queues (kernels/simt/queues.h)
  };
  explicit DeviceContext(Device device, Mode mode = Mode::run);
  ~DeviceContext();
  DeviceContext(const DeviceContext&) = delete;
  DeviceContext& operator=(const DeviceContext&) = delete;

  const Backend& kernels() const { return *backend_; }
  Device device() const { return backend_->device; }
  bool planning() const { return mode_ == Mode::plan; }
  // The type of learnt weights, statistics and scalars: float64 on ref, else float32.
  DType real() const { return device() == Device::ref ? DType::f64 : DType::f32; }
  // That of activations and of the weights that products read: bfloat16 in that precision, else real().
  DType activations() const {
    return precision_ == Precision::bf16 && device() != Device::ref ? DType::bf16 : real();
  }
  Precision precision() const { return precision_; }
  // Before networks are built. Device ref always computes in float64. tf32 counts for the whole program.
  void set_precision(Precision precision);
  // True where the host can read and write device memory: on all devices but a GPU.
  bool memory_is_host() const { return device() != Device::cuda && !has_queues(); }
  Stream& stream() { return stream_; }
  // Whether work is queued, so that graphs can be made of it and two queues work side by side.
  bool has_queues() const { return stream_.handle != nullptr; }
  MemoryPool& pool() { return *pool_; }

  // Work beside the step. While a Beside lives, stream() is a second queue. What it is asked begins after what the
  // first was asked before fork(), and what the first is asked afterwards waits for it. Blocks of pool() that work of
  // the first queue after fork() uses must not be free by then; a recording's are none of them. Without queues all
  // runs in the order in which it was asked.
  void fork();
  class Beside {
   public:
    explicit Beside(DeviceContext& context);
    ~Beside();
    Beside(const Beside&) = delete;

   private:
    DeviceContext& context_;
  };
  // Where new blocks come from: pool(), or while recording the pool of the recording.
  const std::shared_ptr<MemoryPool>& current_pool() const { return recording_ ? recording_->memory_ : pool_; }
  Tape& tape() { return *tape_; }
  StepValues& step_values();  // made at the first call

  // Queues one operation. A plan only counts it.
  template <class Args>
  void run(const Op<Args>& op, const Args& args) {
    run(op, args, [](Args&) {});
  }
  // The same for arguments that the host has to look up anew each time: a recording calls look_up(args)
  // before it runs the operation again.
  template <class Args, class LookUp>
  void run(const Op<Args>& op, const Args& args, const LookUp& look_up) {
    ++operations_;
    if (planning()) {
      if (on_launch) on_launch(planned_launch(op.pick(args, stream_.strict), args, device(), stream_));
      if constexpr (requires { planned_.note(args); })
        if (device() == Device::cpu) planned_.note(args);
      return;
    }
    const Variant<Args>* variant = &op.pick(args, stream_.strict);
    const auto launch = [&] { variant->run(args, stream_); };
    if (trace || kernels().queues.begin_range)
      run_seen(
          Args::op, variant->name, [&] { return text_of_sizes(args); }, launch);
    else launch();
    if (recording_)
      recording_->parts_.push_back({[variant, args = args, look_up](Stream& stream) mutable {
        look_up(args);
        variant->launcher(args, stream);  // the arguments were checked
      }});
  }
  int64_t operations() const { return operations_; }
  // Hears of every operation that is run (engine/tensor/trace.h), or null.
  Trace* trace = nullptr;
  // Of a plan: hears of every operation that would be launched.
  std::function<void(const PlannedLaunch&)> on_launch;
  // Of a plan: what kernels would keep besides the pool.
  size_t planned_kept_bytes() const { return planned_.bytes(); }
  // Fills device memory with zero bytes.
  void zero(void* address, size_t bytes);
  // Does now what the host counts beside the launches, and again whenever this moment of a recording is run.
  template <class F>
  void count_on_host(const F& count) {
    count();
    if (recording_) recording_->parts_.push_back({[count](Stream&) { count(); }, true});
  }

  // Recording (engine/tensor/recording.h). What is run from here on is also noted down, until stop_recording(). After
  // an exception in between, stop_recording() still ends it. It may share the memory of an earlier one: then each one's
  // tensors hold what it wrote until another of them is run.
  void start_recording(const Recording* shares_memory = nullptr);
  Recording stop_recording();
  bool recording() const { return recording_ != nullptr; }
  // Throws while recording; `what`: what the host does with device memory, "an upload".
  void refuse_while_recording(const char* what) const;

  // The arithmetic that operations report through count_flop (convolutions and matrix products).
  void count_flop(double flop) { flop_ += flop; }
  double flop() const { return flop_; }

 private:
  friend class Recording;
  // launch(), within a span of the trace and a range for profilers.
  void run_seen(const char* op, const char* variant, const std::function<std::string()>& sizes,
                const std::function<void()>& launch);
  const Backend* backend_;
  Mode mode_;
  Precision precision_ = Precision::fp32;
  Stream stream_, beside_;  // beside_ has no queue until it is used
  std::shared_ptr<MemoryPool> pool_;
  std::unique_ptr<Recording> recording_;  // null unless one is being made
  std::unique_ptr<Tape> tape_;
  std::unique_ptr<StepValues> step_values_;
  int64_t operations_ = 0;
  double flop_ = 0;
  cpu::KeptByConvolutions planned_;
};

// A device block that goes back to its pool when nobody holds it.
class Storage {
 public:
  Storage(DeviceContext& context, size_t bytes)
      : context_(context), pool_(context.current_pool()), address_(pool_->allocate(bytes)), bytes_(bytes) {}
  // Takes over bytes of the host as device memory; only where memory_is_host().
  Storage(DeviceContext& context, std::vector<uint8_t> bytes)
      : context_(context), host_(std::move(bytes)), address_(host_.data()), bytes_(host_.size()) {}
  ~Storage() {
    if (pool_) pool_->release(address_);
  }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  DeviceContext& context() const { return context_; }
  std::byte* address() const { return static_cast<std::byte*>(address_); }
  size_t bytes() const { return bytes_; }
  uint64_t version = 0;  // see Tensor::version

 private:
  DeviceContext& context_;
  std::shared_ptr<MemoryPool> pool_;  // null for bytes of the host
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
