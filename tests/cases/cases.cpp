// The numbers that cases are made of, and what types hold of them. The cases themselves: cases_<family>.cpp.
#include "tests/cases/cases.h"

#include <algorithm>
#include <cmath>

#include "kernels/shared/bf16.h"
#include "kernels/shared/philox.h"

namespace gan::tests {

double rounded_to(DType type, double value) {
  switch (type) {
    case DType::f32: return float(value);
    case DType::bf16: return to_float(to_bf16(float(value)));
    case DType::f64: return value;
    case DType::i32: return int32_t(value);
    case DType::u8: return uint8_t(value);
  }
  return value;
}

namespace {

template <class Draw>
Generator drawn(Draw draw) {
  return [draw](int64_t count, uint64_t seed, const std::vector<Values>&) {
    Values values(count);
    for (int64_t i = 0; i < count; ++i) values[i] = draw(seed, i);
    return values;
  };
}

}  // namespace

Generator normals(double deviation, double mean) {
  return [=](int64_t count, uint64_t seed, const std::vector<Values>&) {
    Values values(count);
    for (int64_t i = 0; i < count; i += 4) {
      const Philox4 bits = random_bits(seed, 0, 0, i / 4);
      float four[4];
      normals_from_bits(bits.v[0], bits.v[1], four[0], four[1]);
      normals_from_bits(bits.v[2], bits.v[3], four[2], four[3]);
      for (int64_t j = i; j < std::min(i + 4, count); ++j) values[j] = mean + deviation * four[j - i];
    }
    return values;
  };
}

Generator uniform(double low, double high) {
  return drawn([=](uint64_t seed, int64_t i) { return low + (high - low) * random_uniform(seed, 0, 0, i); });
}

Generator integers(int low, int high) {
  return drawn([=](uint64_t seed, int64_t i) {
    return low + std::floor((high - low) * double(random_uniform(seed, 0, 0, i)));
  });
}

Generator below(std::function<int64_t(int64_t)> limit) {
  return drawn([limit = std::move(limit)](uint64_t seed, int64_t i) {
    return std::floor(double(limit(i)) * double(random_uniform(seed, 0, 0, i)));
  });
}

Generator constant(Values values) {
  return [values](int64_t count, uint64_t, const std::vector<Values>&) {
    Values all(count);
    for (int64_t i = 0; i < count; ++i) all[i] = values[i % values.size()];
    return all;
  };
}

}  // namespace gan::tests
