// --shape: the sizes of an operation by name, written key=value,key=value; a key alone means 1.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace gan::tools {

// Hands an operation (Args::sizes) what the text says, and a small default for what it leaves out. Values
// that cannot be are kept as a problem until finish(), so that an operation which the text is not about can
// be passed over.
class Shape : public Sizes {
 public:
  // Throws Exit::usage when the text is not of that form.
  explicit Shape(const std::string& text);

  using Sizes::choice, Sizes::size;
  void size(const char* key, int64_t& value, int64_t small, int64_t usual, int64_t least) override;
  void choice(const char* key, int& value, std::initializer_list<const char*> words) override;
  void seldom(const char* port) override;

  // Whether the operation has asked for every key that is given.
  bool fits() const;
  // Throws Exit::usage on a key that it has not asked for, and on a value that cannot be.
  void finish(const char* op) const;
  // Whether an optional port takes part.
  bool takes(const char* port) const { return !absent_.count(port); }

  // Every size with the value it got, in the order they were asked for.
  const std::vector<std::pair<std::string, std::string>>& used() const { return used_; }
  std::string text() const;

 private:
  const std::string& take(const char* key, const std::string& fallback);

  std::map<std::string, std::string> given_;
  std::vector<std::pair<std::string, std::string>> used_;
  std::map<std::string, bool> absent_;  // ports
  std::string problem_;
};

// Points every port that takes part at address(port), with the type of its kind: `value` where that is for
// the operation to choose.
template <class Args, class F>
void bind_ports(Args& args, const Shape& shape, DType value, F&& address) {
  for (const Port<Args>& port : Args::ports()) {
    if (port.is_optional && !shape.takes(port.name)) continue;
    const DType float32 = value == DType::f64 ? DType::f64 : DType::f32;
    const DType type = port.kind == Kind::value     ? value
                       : port.kind == Kind::float32 ? float32
                       : port.kind == Kind::index   ? DType::i32
                                                    : DType::u8;
    void* const data = address(port, type);
    if (port.in) args.*port.in = {data, type};
    else args.*port.out = {data, type};
  }
}

// Addresses that stand for buffers: whether arguments fit depends on sizes, types and whether there is a
// buffer.
template <class Args>
void bind_nothing(Args& args, const Shape& shape, DType value) {
  alignas(128) static char memory[128];
  bind_ports(args, shape, value, [](const Port<Args>&, DType) { return memory; });
}

// Throws Exit::usage unless the sizes can be computed. args: with buffers, or bind_nothing().
template <class Args>
void check_shape(const Args& args, const Shape& shape) {
  if (const char* why = args.wrong())
    fail(Exit::usage, "--shape {}: {} cannot be computed: {}", shape.text(), Args::op, why);
}

}  // namespace gan::tools
