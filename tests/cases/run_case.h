// Runs a case of tests/cases/cases.h on a device: binds its ports to buffers, calls, and brings the results back.
//
// Everything around the call is laid out to show a kernel's mistakes. Each buffer, scratch memory too, lies
// between guard bands of signalling NaN (float32 and bfloat16): writing there is seen afterwards, even when
// it is the same number after some arithmetic, which makes the NaN a quiet one; reading there poisons the
// result. Outputs that are only written start as NaN. Inputs must come back unchanged. Under an address
// sanitizer the bands are left out, so that blocks have their exact size and the sanitizer sees every step
// outside.
#pragma once
#include <cstring>
#include <string>

#include "kernels/ref/ref.h"
#include "kernels/shared/bf16.h"
#include "tests/cases/cases.h"

namespace gan::tests {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr size_t guard_bytes = 0;
#else
inline constexpr size_t guard_bytes = 256;  // keeps the alignment of 128
#endif

using Bytes = std::vector<uint8_t>;

// Byte i of a guard band that begins at an even offset.
constexpr uint8_t guard_byte(size_t i) { return i % 2 == 0 ? 0xBF : 0xFF; }

Bytes encode(const Values& values, DType type);
Values decode(const Bytes& bytes, DType type);

// A block of device memory between guard bands.
class GuardedBlock {
 public:
  GuardedBlock(const Memory& memory, Stream& stream, const Bytes& initial);
  ~GuardedBlock() { memory_.release(block_); }
  GuardedBlock(const GuardedBlock&) = delete;
  GuardedBlock& operator=(const GuardedBlock&) = delete;

  void* address() const { return static_cast<uint8_t*>(block_) + guard_bytes; }
  // The contents; `intact` becomes false when a guard band was written to.
  Bytes read(bool& intact) const;

 private:
  const Memory& memory_;
  Stream& stream_;
  size_t bytes_;
  void* block_;
};

// A stream of a device whose scratch memory is a GuardedBlock, fresh for every size asked for. One at a time.
class TestStream {
 public:
  explicit TestStream(const Backend& backend);
  ~TestStream() { release_scratch(stream_); }
  TestStream(const TestStream&) = delete;
  TestStream& operator=(const TestStream&) = delete;

  Stream& get() { return stream_; }
  bool scratch_intact() const;

 private:
  Stream stream_;
};

// The device's backend when it can be used, else null and the reason (no such build, no GPU).
const Backend* usable_backend(Device device, std::string& reason);
// Those of these devices that can be used.
std::vector<Device> usable(std::initializer_list<Device> devices);

// What the ports of a case hold before the call, as a device stores it.
template <class Args>
std::vector<Bytes> encode(const Case<Args>& c, const std::vector<Values>& initial, const Storage& storage) {
  std::vector<Bytes> all;
  for (size_t p = 0; p < c.ports.size(); ++p) {
    const DType type = storage.of(c.ports[p].kind);
    all.push_back(initial[p].empty() ? Bytes(c.ports[p].count() * size_of(type), 0xFF)
                                     : encode(initial[p], type));
  }
  return all;
}

// A case bound to a device's memory. initial, from encode(), must live as long.
template <class Args>
class BoundCase {
 public:
  BoundCase(const Case<Args>& c, const std::vector<Bytes>& initial, const Storage& storage,
            const Memory& memory, Stream& stream)
      : case_(c), storage_(storage), initial_(initial), args(c.args) {
    for (size_t p = 0; p < c.ports.size(); ++p) {
      const auto& port = c.ports[p];
      const DType type = storage.of(port.kind);
      Bytes block(skipped(p));
      for (size_t i = 0; i < block.size(); ++i) block[i] = guard_byte(i);
      block.insert(block.end(), initial_[p].begin(), initial_[p].end());
      blocks_.push_back(std::make_unique<GuardedBlock>(memory, stream, block));
      void* address = static_cast<uint8_t*>(blocks_.back()->address()) + skipped(p);
      if (port.in) args.*port.in = In{address, type};
      else args.*port.out = Out{address, type, port.acc};
    }
  }

  // Contents of the outputs, by port (inputs: empty), and what was damaged, in words.
  std::vector<Bytes> outputs(std::string& damage) const {
    std::vector<Bytes> all;
    for (size_t p = 0; p < blocks_.size(); ++p) {
      const auto& port = case_.ports[p];
      bool intact = true;
      Bytes bytes = blocks_[p]->read(intact);
      for (size_t i = 0; i < skipped(p); ++i) intact = intact && bytes[i] == guard_byte(i);
      bytes.erase(bytes.begin(), bytes.begin() + ptrdiff_t(skipped(p)));
      if (!intact) damage += fmt::format("  {}: written outside of the buffer\n", port.name);
      if (port.in && bytes != initial_[p]) damage += fmt::format("  {}: an input was changed\n", port.name);
      all.push_back(port.out ? std::move(bytes) : Bytes{});
    }
    return all;
  }

 private:
  size_t skipped(size_t p) const { return size_t(case_.skip) * size_of(storage_.of(case_.ports[p].kind)); }

  const Case<Args>& case_;
  Storage storage_;
  const std::vector<Bytes>& initial_;
  std::vector<std::unique_ptr<GuardedBlock>> blocks_;

 public:
  Args args;  // ready to be run
};

// The outputs of ref::compute<T>, as numbers, by port.
template <class T, class Args>
std::vector<Values> compute_on_host(const Case<Args>& c, const std::vector<Values>& initial,
                                    const Storage& storage) {
  const Backend& host = *find_backend(Device::ref);
  Stream stream;
  const std::vector<Bytes> stored = encode(c, initial, storage);
  BoundCase<Args> bound(c, stored, storage, host.memory, stream);
  ref::compute<T>(bound.args);
  std::string damage;
  std::vector<Values> results;
  for (const Bytes& bytes : bound.outputs(damage)) results.push_back(decode(bytes, dtype_of<T>()));
  GAN_CHECK(damage.empty(), "the reference itself: {} {}:\n{}", Args::op, c.name, damage);
  return results;
}

}  // namespace gan::tests
