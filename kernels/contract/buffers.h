// What an operation is given: element types, pointers to buffers on the device, activation functions.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/contract/check.h"

namespace gan {

enum class DType : uint8_t { f32, bf16, f64, i32, u8 };
size_t size_of(DType type);  // bytes of one element
const char* name_of(DType type);

enum class Acc : uint8_t { set, add };

struct bf16;  // kernels/shared/bf16.h
template <class T>
constexpr DType dtype_of();  // dtype_of<float>() == DType::f32, ...
// clang-format off
template <> constexpr DType dtype_of<float>() { return DType::f32; }
template <> constexpr DType dtype_of<bf16>() { return DType::bf16; }
template <> constexpr DType dtype_of<double>() { return DType::f64; }
template <> constexpr DType dtype_of<int32_t>() { return DType::i32; }
template <> constexpr DType dtype_of<uint8_t>() { return DType::u8; }
// clang-format on

struct In {
  const void* data = nullptr;
  DType dtype = DType::f32;
  explicit operator bool() const { return data != nullptr; }
  // The pointer as T*; throws when the buffer holds another type. Null stays null.
  template <class T>
  const T* as() const {
    GAN_CHECK(!data || dtype == dtype_of<T>(), "input is {}, wanted {}", name_of(dtype),
              name_of(dtype_of<T>()));
    return static_cast<const T*>(data);
  }
};

struct Out {
  void* data = nullptr;
  DType dtype = DType::f32;
  Acc acc = Acc::set;
  explicit operator bool() const { return data != nullptr; }
  template <class T>
  T* as() const {
    GAN_CHECK(!data || dtype == dtype_of<T>(), "output is {}, wanted {}", name_of(dtype),
              name_of(dtype_of<T>()));
    return static_cast<T*>(data);
  }
};

enum class Act : uint8_t { none, relu, leaky_relu, tanh, sigmoid };
// An activation function. Every one has a gradient that is a function of its output alone (leaky_relu needs
// slope > 0 for that), so a fused forward pass keeps only y.
struct Activation {
  Act kind = Act::none;
  double slope = 0.2;  // leaky_relu only, > 0

  const char* wrong() const {
    return kind == Act::leaky_relu && !(slope > 0) ? "a leaky relu needs a slope above 0" : nullptr;
  }
  // Of an activation that the operation applies before it stores.
  const char* wrong_with(const Out& out) const {
    return kind != Act::none && out.acc == Acc::add ? "an activation cannot be added to what is there"
                                                    : wrong();
  }
};

}  // namespace gan
