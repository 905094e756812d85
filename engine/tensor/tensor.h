// Tensor: a shape, a type, a piece of device memory, and, while the tape records, a place for its gradient.
//
// A value type: copies share the memory. Dense, row-major, at most four dimensions; activations are
// (N,H,W,C).
#pragma once
#include <array>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/tensor/device.h"

namespace gan {

struct Shape {
  int rank = 0;
  std::array<int64_t, 4> dims{};

  Shape() = default;
  Shape(std::initializer_list<int64_t> values);
  int64_t operator[](int i) const { return dims[i]; }
  int64_t count() const;  // elements; 1 for rank 0
  bool operator==(const Shape&) const = default;
};
std::string to_string(const Shape& shape);  // "(64,32,32,3)"

struct Gradient;  // below

class Tensor {
 public:
  Tensor() = default;
  // Uninitialised memory.
  Tensor(DeviceContext& context, Shape shape, DType dtype);
  // In the context's real type.
  Tensor(DeviceContext& context, Shape shape) : Tensor(context, shape, context.real()) {}
  // Bytes of the host as a tensor on the device: uploaded, or taken over without a copy where
  // memory_is_host().
  static Tensor from_bytes(DeviceContext& context, Shape shape, std::vector<uint8_t> bytes);
  // `count` elements of another tensor's memory from `offset` elements on, as `shape`.
  Tensor view(int64_t offset, Shape shape) const;

  explicit operator bool() const { return storage_ != nullptr; }
  DeviceContext& context() const { return storage_->context(); }
  const Shape& shape() const { return shape_; }
  int64_t dim(int i) const { return shape_[i]; }
  int64_t count() const { return shape_.count(); }
  DType dtype() const { return dtype_; }
  size_t bytes() const { return size_t(count()) * size_of(dtype_); }
  void* data() const { return storage_ ? storage_->address() + offset_ : nullptr; }

  In in() const { return {data(), dtype_}; }
  Out out(Acc acc = Acc::set) const { return {data(), dtype_, acc}; }

  Tensor detach() const;  // the same memory, unknown to the tape
  // Not 0: a number that is new each time the memory's contents change, so that a device may keep re-laid-out
  // copies of weights. Whoever writes to a parameter buffer calls changed() afterwards.
  uint64_t version() const { return storage_ ? storage_->version : 0; }
  void changed() const;
  const std::shared_ptr<Gradient>& gradient() const { return gradient_; }
  void set_gradient(std::shared_ptr<Gradient> gradient) { gradient_ = std::move(gradient); }
  bool needs_gradient() const { return gradient_ != nullptr; }

  // Host copies; float32 and float64 (and bfloat16) are converted. `host` waits for the device.
  std::vector<double> host() const;
  std::vector<float> host_f32() const;
  void upload(std::span<const float> values) const;
  void upload(std::span<const double> values) const;
  void upload_bytes(const void* bytes, size_t count) const;
  void zero() const;

 private:
  std::shared_ptr<Storage> storage_;
  size_t offset_ = 0;  // bytes
  Shape shape_;
  DType dtype_ = DType::f32;
  std::shared_ptr<Gradient> gradient_;
};

// Where the gradient of one tensor is collected. A parameter's `value` is fixed, a view of its network's flat
// gradient; an intermediate's is allocated when the first contribution arrives.
struct Gradient {
  Tensor value;
  bool received = false;  // value holds something
  bool parameter = false;
  bool shared = false;  // value's memory belongs to another tensor's gradient too: copy before adding
};

}  // namespace gan
