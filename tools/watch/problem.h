// What gan-watch runs an operation on: sizes from --shape, and buffers of device simt that the watcher knows
// by name.
#pragma once
#include <string>
#include <vector>

#include "tools/cli/shape.h"

namespace gan::tools {

// Buffers of one operation. 64 MB together at most.
class Problem {
 public:
  // value: how activations and weights are stored, f32 or bf16.
  Problem(const std::string& shape, DType value) : shape_(shape), value_(value) {}
  ~Problem();
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  // Fills the arguments: sizes from --shape, and buffers for the ports of the operation.
  template <class Args>
  void set_up(Args& args);

  const Shape& shape() const { return shape_; }
  const std::vector<std::string>& buffers() const { return names_; }

 private:
  void* allocate(const char* op, const char* name, int64_t bytes);
  // Numbers in [-1,1), or [0.5,1.5) where they must be positive.
  void fill(void* buffer, int64_t count, DType type, bool positive);
  uint32_t next_random() { return state_ = state_ * 1664525u + 1013904223u; }

  Shape shape_;
  DType value_;
  std::vector<void*> buffers_;
  std::vector<std::string> names_;  // of buffers_
  int64_t bytes_ = 0;
  uint32_t state_ = 0;
};

template <class Args>
void Problem::set_up(Args& args) {
  args.sizes(shape_);
  shape_.finish(Args::op);
  bind_nothing(args, shape_, value_);
  check_shape(args, shape_);
  bind_ports(args, shape_, value_, [&](const Port<Args>& port, DType type) {
    const int64_t count = port.extents(args).count();
    void* const buffer = allocate(Args::op, port.name, count * int64_t(size_of(type)));
    if (!port.limit) fill(buffer, count, type, port.is_positive);
    for (int64_t i = 0; port.limit && i < count; ++i)
      static_cast<int32_t*>(buffer)[i] = int32_t((next_random() >> 8) % port.limit(args, i));
    return buffer;
  });
}

}  // namespace gan::tools
