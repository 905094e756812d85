// The one table of operation cases: what to compute (sizes, options) and with which numbers, for every
// operation of kernels/kernels.h, written down once for all devices, variants and data types.
//
// A Case<Args> holds the arguments without pointers and a list of ports: the members of Args that point to
// buffers, with shape, data type and contents. Contents come from a generator, so a case is small until it is
// used. cases<Args>() is the table of one operation; tests/cases.cpp defines one for each, and an operation
// without one does not link. tests/test_kernels.cpp binds the ports to buffers of a device and runs them.
#pragma once
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace gan::tests {

using Values = std::vector<double>;

// What a port's elements are stored as.
enum class Kind : uint8_t {
  value,  // activations and weights: float32, or bfloat16 in a bfloat16 run
  f32,    // statistics, losses, gradients of weights, optimiser state: always float32
  i32,
  u8,
};
enum class Use : uint8_t {
  in,        // read
  optional,  // read, and the operation is also defined without it
  out,       // written, or added to
  in_out,  // has contents before, whatever Acc says (optimiser state, running statistics; a part is written)
};

template <class Args>
struct Case;

// The numbers of one port: `earlier` holds the contents of the ports before it, by position.
using Generator = std::function<Values(int64_t count, uint64_t seed, const std::vector<Values>& earlier)>;

Generator normals(double deviation = 1, double mean = 0);
Generator uniform(double low, double high);
Generator integers(int low, int high);  // low <= value < high
Generator constant(Values values);      // repeated as often as needed

template <class Args>
struct Port {
  std::string name;
  In Args::*input = nullptr;  // one of the two
  Out Args::*output = nullptr;
  Use use = Use::in;
  Kind kind = Kind::value;
  Acc acc = Acc::set;
  std::vector<int64_t> shape;
  Generator generate;  // contents before the call; none for an output that is only written

  int64_t count() const {
    return std::accumulate(shape.begin(), shape.end(), int64_t(1), std::multiplies<int64_t>());
  }
};

template <class Args>
struct Case {
  std::string name;
  Args args;                      // pointers null
  std::vector<Port<Args>> ports;  // an output that is not listed is unwanted
  bool real_width = false;    // a layer of a network in its true width: run once, in optimised builds only
  bool small_on_cpu = false;  // of those: device cpu has time for it in every build
  bool for_tiles = false;     // fills several tiles: the naive rung has none, and is too slow for it on simt
  bool bit_exact = false;     // every device must give the very same numbers
  // Every buffer is the rest of a larger one and begins behind that many elements: 1 allows no access of
  // four.
  int64_t skip = 0;

  Case(std::string case_name, const Args& a) : name(std::move(case_name)), args(a) {}
  Case& in(const char* port, In Args::*member, std::vector<int64_t> shape, Generator generate = normals(),
           Kind kind = Kind::value) {
    ports.push_back({port, member, nullptr, Use::in, kind, Acc::set, std::move(shape), std::move(generate)});
    return *this;
  }
  Case& optional(const char* port, In Args::*member, std::vector<int64_t> shape,
                 Generator generate = normals(), Kind kind = Kind::f32) {
    in(port, member, std::move(shape), std::move(generate), kind).ports.back().use = Use::optional;
    return *this;
  }
  Case& out(const char* port, Out Args::*member, std::vector<int64_t> shape, Kind kind = Kind::value,
            Acc acc = Acc::set) {
    ports.push_back({port, nullptr, member, Use::out, kind, acc, std::move(shape),
                     acc == Acc::add ? normals() : Generator{}});
    return *this;
  }
  Case& in_out(const char* port, Out Args::*member, std::vector<int64_t> shape, Generator generate,
               Kind kind = Kind::f32, Acc acc = Acc::set) {
    ports.push_back({port, nullptr, member, Use::in_out, kind, acc, std::move(shape), std::move(generate)});
    return *this;
  }
};

// The table of one operation.
template <class Args>
const std::vector<Case<Args>>& cases();

// How the two kinds of floating point ports are stored in a run.
struct Storage {
  DType value, f32;
  DType of(Kind kind) const {
    switch (kind) {
      case Kind::value: return value;
      case Kind::f32: return f32;
      case Kind::i32: return DType::i32;
      case Kind::u8: return DType::u8;
    }
    return value;
  }
};
inline constexpr Storage float64_run = {DType::f64, DType::f64};  // device ref
inline constexpr Storage float32_run = {DType::f32, DType::f32};
inline constexpr Storage bfloat16_run = {DType::bf16, DType::f32};

// The nearest number that the type holds.
double rounded_to(DType type, double value);

// The contents of every port before the call, as numbers which `storage` holds exactly; empty for outputs
// that are only written. The same on every call.
template <class Args>
std::vector<Values> contents(const Case<Args>& c, const Storage& storage) {
  std::vector<Values> all;
  const uint64_t seed = std::hash<std::string>{}(Args::op + c.name);
  for (const auto& port : c.ports) {
    Values values;
    if (port.generate) values = port.generate(port.count(), seed + all.size(), all);
    GAN_CHECK(!port.generate || int64_t(values.size()) == port.count(), "{}: {}", c.name, port.name);
    for (double& value : values) value = rounded_to(storage.of(port.kind), value);
    all.push_back(std::move(values));
  }
  return all;
}

}  // namespace gan::tests
