// The one table of operation cases: what to compute (sizes, options) and with which numbers, for every
// operation of kernels/kernels.h, written down once for all devices, variants and data types.
//
// A Case<Args> holds the arguments without pointers, and the ports that take part: those of the contract
// (names, shapes, kinds and uses come from Args::ports()) with what the case adds, their contents and Acc.
// Contents come from a generator, so a case is small until it is used. cases<Args>() is the table of one
// operation; a file cases_<family>.cpp defines those of a family, and an operation without one does not link.
// tests/kernels/test_kernels.cpp binds the ports to buffers of a device and runs them.
#pragma once
#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace gan::tests {

using Values = std::vector<double>;

// The numbers of one port: `earlier` holds the contents of the ports before it, by position.
using Generator = std::function<Values(int64_t count, uint64_t seed, const std::vector<Values>& earlier)>;

Generator normals(double deviation = 1, double mean = 0);
Generator uniform(double low, double high);
Generator integers(int low, int high);                   // low <= value < high
Generator constant(Values values);                       // repeated as often as needed
Generator below(std::function<int64_t(int64_t)> limit);  // element i: 0 <= value < limit(i)

// A port that takes part in a case.
template <class Args>
struct CasePort : Port<Args> {
  std::vector<int64_t> shape;
  Acc acc = Acc::set;
  Generator generate;  // contents before the call; none for an output that is only written

  CasePort(const Port<Args>& port, const Args& args)
      : Port<Args>(port), generate(usual_contents(port, args)) {
    const Extents extents = port.extents(args);
    shape.assign(extents.sizes.begin(), extents.sizes.begin() + extents.rank);
  }
  int64_t count() const {
    return std::accumulate(shape.begin(), shape.end(), int64_t(1), std::multiplies<int64_t>());
  }

 private:
  static Generator usual_contents(const Port<Args>& port, const Args& args) {
    if (!port.is_read) return {};
    if (port.limit) return below([limit = port.limit, args](int64_t i) { return limit(args, i); });
    if (port.kind == Kind::byte) return integers(0, 256);
    return port.is_positive ? uniform(0.5, 1.5) : normals();
  }
};

template <class Args>
struct Case {
  std::string name;
  Args args;                          // pointers null
  std::vector<CasePort<Args>> ports;  // in the contract's order; optional ones only if the case asks for them
  bool real_width = false;    // a layer of a network in its true width: run once, in optimised builds only
  bool small_on_cpu = false;  // of those: device cpu has time for it in every build
  bool for_tiles = false;     // fills several tiles: the naive rung has none, and is too slow for it on simt
  bool bit_exact = false;     // every device must give the very same numbers
  // Every buffer is the rest of a larger one and begins behind that many elements: 1 allows no access of
  // four.
  int64_t skip = 0;

  Case(std::string case_name, const Args& a) : name(std::move(case_name)), args(a) {
    for (const Port<Args>& port : Args::ports())
      if (!port.is_optional) ports.emplace_back(port, args);
  }
  // An optional port takes part. Contents: see fill().
  Case& with(std::string_view port) {
    constexpr auto all = Args::ports();
    const auto added = std::find_if(all.begin(), all.end(), [&](const auto& p) { return port == p.name; });
    GAN_CHECK(added != all.end() && added->is_optional, "{} has no optional port {}", Args::op, port);
    // Before the first that stands behind it in the contract.
    const auto place = std::find_if(ports.begin(), ports.end(), [&](const auto& present) {
      return std::any_of(added, all.end(), [&](const auto& p) { return p.name == present.name; });
    });
    ports.insert(place, CasePort<Args>(*added, args));
    return *this;
  }
  Case& with(std::string_view port, Generator contents) { return with(port).fill(port, std::move(contents)); }
  // Contents other than usual: normal numbers, for positive ports uniform ones from 0.5 to 1.5.
  Case& fill(std::string_view port, Generator contents) {
    find(port).generate = std::move(contents);
    return *this;
  }
  Case& stored_as(std::string_view port, Kind kind) {
    find(port).kind = kind;
    return *this;
  }
  // Acc::add: all outputs that can be added to are, to normal numbers.
  Case& accumulate(Acc acc) {
    for (CasePort<Args>& port : ports) {
      if (!port.is_written || port.only_set) continue;
      port.acc = acc;
      if (acc == Acc::add && !port.generate) port.generate = normals();
    }
    return *this;
  }

 private:
  CasePort<Args>& find(std::string_view name) {
    const auto found =
        std::find_if(ports.begin(), ports.end(), [&](const auto& p) { return name == p.name; });
    GAN_CHECK(found != ports.end(), "{}: there is no port {}", Args::op, name);
    return *found;
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
      case Kind::float32: return f32;
      case Kind::index: return DType::i32;
      case Kind::byte: return DType::u8;
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
