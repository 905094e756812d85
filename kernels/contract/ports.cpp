// What does not depend on the operation: names of types, sizes in words, the check of bound ports.
#include "kernels/contract/ports.h"

#include <algorithm>

namespace gan {

size_t size_of(DType type) {
  switch (type) {
    case DType::f32: return 4;
    case DType::bf16: return 2;
    case DType::f64: return 8;
    case DType::i32: return 4;
    case DType::u8: return 1;
  }
  return 0;
}

const char* name_of(DType type) {
  switch (type) {
    case DType::f32: return "f32";
    case DType::bf16: return "bf16";
    case DType::f64: return "f64";
    case DType::i32: return "i32";
    case DType::u8: return "u8";
  }
  return "?";
}

void Sizes::size(const char* key, int& value, int small, int usual, int least) {
  int64_t wide = value;
  size(key, wide, int64_t(small), int64_t(usual), int64_t(least));
  value = int(wide);
}

void Sizes::flag(const char* key, bool& value) {
  int index = value;
  choice(key, index, {"0", "1"});
  value = index != 0;
}

void Sizes::activation(Activation& act) {
  choice("act", act.kind, {"none", "relu", "leaky_relu", "tanh", "sigmoid"});
}

void ListedSizes::size(const char* key, int64_t& value, int64_t, int64_t, int64_t) {
  text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, value);
}

void ListedSizes::choice(const char* key, int& value, std::initializer_list<const char*> words) {
  const bool known = value >= 0 && size_t(value) < words.size();
  text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, known ? words.begin()[value] : "?");
}

namespace detail {

void refuse_sizes(const char* op, const char* why, const std::string& sizes) {
  fail(Exit::failure, "{} of {}: {}", op, sizes, why);
}

void check_ports(const char* op, const BoundPort* ports, size_t count) {
  // Device ref keeps every number in float64.
  const bool wide =
      std::any_of(ports, ports + count, [](const BoundPort& p) { return p.dtype == DType::f64; });
  for (size_t i = 0; i < count; ++i) {
    const BoundPort& p = ports[i];
    if (!p.data && !p.optional && p.count > 0) fail(Exit::failure, "{}: there is no {}", op, p.name);
    if (!p.data) continue;
    bool right = false;
    switch (p.kind) {
      case Kind::value:
        right = wide ? p.dtype == DType::f64 : p.dtype == DType::f32 || p.dtype == DType::bf16;
        break;
      case Kind::float32: right = p.dtype == (wide ? DType::f64 : DType::f32); break;
      case Kind::index: right = p.dtype == DType::i32; break;
      case Kind::byte: right = p.dtype == DType::u8; break;
    }
    if (!right) fail(Exit::failure, "{}: {} cannot be {}", op, p.name, name_of(p.dtype));
    if (p.only_set && p.acc != Acc::set) fail(Exit::failure, "{}: {} cannot be added to", op, p.name);
  }
}

}  // namespace detail
}  // namespace gan
