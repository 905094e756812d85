// The cases of every operation. Sizes are chosen to be awkward: 1, odd, one more than a power of two, windows
// that hang over the edge, more padding than kernel, one segment and several. To add a case, add a line to
// the list of its operation; to add an operation, add a function cases<Args>().
//
// Every case but the true widths runs under 23 orders of threads, in three builds, two of which are tens of
// times slower: a size just beyond a tile, a split or a ring proves what ten times as much would.
#include "tests/cases.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/bf16.h"
#include "kernels/philox.h"

// Arguments are written with the sizes that matter; pointers are bound later.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace gan::tests {

// -------------------------------------------------------------------------------------------------- numbers

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

Generator constant(Values values) {
  return [values](int64_t count, uint64_t, const std::vector<Values>&) {
    Values all(count);
    for (int64_t i = 0; i < count; ++i) all[i] = values[i % values.size()];
    return all;
  };
}

namespace {

// One element; below, at and above a warp and a block; an odd number of many blocks.
constexpr int64_t counts[] = {1, 31, 32, 257, 1025, 10007};

constexpr Activation no_act{}, relu{Act::relu}, leaky{Act::leaky_relu, 0.2f}, tanh_act{Act::tanh},
    sigmoid_act{Act::sigmoid};
constexpr Activation activations[] = {no_act, relu, leaky, {Act::leaky_relu, 0.01f}, tanh_act, sigmoid_act};

std::string name_of(const Activation& act) {
  switch (act.kind) {
    case Act::none: return "none";
    case Act::relu: return "relu";
    case Act::leaky_relu: return fmt::format("leaky_relu {:g}", act.slope);
    case Act::tanh: return "tanh";
    case Act::sigmoid: return "sigmoid";
  }
  return "?";
}

const char* name_of(Acc acc) { return acc == Acc::add ? " add" : ""; }

constexpr Acc both[] = {Acc::set, Acc::add};

// A case of the table again, on buffers that do not begin where four elements can be read at once.
template <class Args>
Case<Args> part_of_buffers(const std::vector<Case<Args>>& table, const std::string& name) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Case<Args>& c) { return c.name == name; });
  GAN_CHECK(found != table.end(), "there is no case {}", name);
  Case<Args> c = *found;
  c.name += " part";
  c.skip = 1;
  return c;
}

}  // namespace

// ------------------------------------------------------------------------------------------------ pointwise

template <>
const std::vector<Case<ActivationFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<ActivationFwd>> t;
    for (const Activation& act : activations)
      for (int64_t count : counts)
        t.push_back(
            Case<ActivationFwd>(fmt::format("{} {}", name_of(act), count), {.count = count, .act = act})
                .in("x", &ActivationFwd::x, {count}, normals(2))
                .out("y", &ActivationFwd::y, {count}));
    t.push_back(Case<ActivationFwd>("tanh add", {.count = 33, .act = tanh_act})
                    .in("x", &ActivationFwd::x, {33})
                    .out("y", &ActivationFwd::y, {33}, Kind::value, Acc::add));
    t.push_back(part_of_buffers(t, "relu 257"));
    for (const Activation& act : activations)
      t.push_back(Case<ActivationFwd>(name_of(act) + " far out", {.count = 8, .act = act})
                      .in("x", &ActivationFwd::x, {8}, constant({80, -80, 0, -0.0, 20, -20, 1e-3, -1e-3}))
                      .out("y", &ActivationFwd::y, {8}));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<ActivationBwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<ActivationBwd>> t;
    for (const Activation& act : activations)
      for (int64_t count : counts)
        for (Acc acc : both) {
          if (acc == Acc::add && count > 1025) continue;
          t.push_back(Case<ActivationBwd>(fmt::format("{} {}{}", name_of(act), count, name_of(acc)),
                                          {.count = count, .act = act})
                          .in("y", &ActivationBwd::y, {count},
                              act.kind == Act::sigmoid ? uniform(0.01, 0.99) : uniform(-0.99, 0.99))
                          .in("dy", &ActivationBwd::dy, {count})
                          .out("dx", &ActivationBwd::dx, {count}, Kind::value, acc));
        }
    t.push_back(part_of_buffers(t, "tanh 257"));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<Binary>>& cases() {
  static const auto table = [] {
    std::vector<Case<Binary>> t;
    for (BinaryKind kind : {BinaryKind::add, BinaryKind::subtract, BinaryKind::multiply})
      for (int64_t count : counts)
        for (bool scalar : {false, true})
          for (Acc acc : both) {
            if (acc == Acc::add && count > 1025) continue;
            const int64_t b_count = scalar ? 1 : count;
            const char* names[] = {"add", "subtract", "multiply"};
            t.push_back(Case<Binary>(fmt::format("{} {}{}{}", names[int(kind)], count,
                                                 scalar ? " by scalar" : "", name_of(acc)),
                                     {.count = count, .b_count = b_count, .kind = kind})
                            .in("a", &Binary::a, {count})
                            .in("b", &Binary::b, {b_count})
                            .out("y", &Binary::y, {count}, Kind::value, acc));
          }
    t.push_back(part_of_buffers(t, "subtract 257"));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<Affine>>& cases() {
  static const auto table = [] {
    std::vector<Case<Affine>> t;
    for (int64_t count : counts) {
      const auto add = [&](const char* what, double scale, double shift, Kind x, Kind y, Acc acc = Acc::set) {
        t.push_back(
            Case<Affine>(fmt::format("{} {}", what, count), {.count = count, .scale = scale, .shift = shift})
                .in("x", &Affine::x, {count}, normals(), x)
                .out("y", &Affine::y, {count}, y, acc));
      };
      add("scale and shift", -0.75, 3.1, Kind::value, Kind::value);
      add("scaled add", 0.3, 0, Kind::value, Kind::value, Acc::add);
      add("copy", 1, 0, Kind::value, Kind::value);
      add("to float32", 1, 0, Kind::value, Kind::f32);    // a conversion in bfloat16 runs
      add("from float32", 1, 0, Kind::f32, Kind::value);  // likewise
    }
    t.push_back(part_of_buffers(t, "scaled add 257"));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<Broadcast>>& cases() {
  static const auto table = [] {
    std::vector<Case<Broadcast>> t;
    for (int64_t count : counts)
      for (Acc acc : both) {
        t.push_back(Case<Broadcast>(fmt::format("{}{}", count, name_of(acc)), {.count = count, .scale = 1.5})
                        .optional("x", &Broadcast::x, {1})
                        .out("y", &Broadcast::y, {count}, Kind::value, acc));
        t.push_back(
            Case<Broadcast>(fmt::format("fill {}{}", count, name_of(acc)), {.count = count, .scale = -0.1})
                .out("y", &Broadcast::y, {count}, Kind::value, acc));
      }
    t.push_back(part_of_buffers(t, "257"));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<Sum>>& cases() {
  static const auto table = [] {
    std::vector<Case<Sum>> t;
    for (int64_t count : {1, 2, 31, 32, 33, 257, 1025, 4097, 30011, 1000000})
      for (Acc acc : both) {
        t.push_back(Case<Sum>(fmt::format("{}{}", count, name_of(acc)), {.count = count, .scale = 0.7})
                        .in("x", &Sum::x, {count}, normals(1, 0.5))
                        .out("sum", &Sum::sum, {1}, Kind::f32, acc));
        t.back().real_width = count == 1000000;
      }
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<SumRows>>& cases() {
  static const auto table = [] {
    std::vector<Case<SumRows>> t;
    const std::pair<int64_t, int> sizes[] = {{1, 1},   {1, 7},   {31, 3},    {33, 65},   {1025, 1},
                                             {257, 5}, {64, 64}, {4099, 12}, {100, 256}, {2, 1000}};
    for (auto [rows, channels] : sizes)
      for (Acc acc : both)
        t.push_back(Case<SumRows>(fmt::format("{}x{}{}", rows, channels, name_of(acc)),
                                  {.rows = rows, .channels = channels})
                        .in("x", &SumRows::x, {rows, channels}, normals(1, 0.5))
                        .out("sums", &SumRows::sums, {channels}, Kind::f32, acc));
    return t;
  }();
  return table;
}

namespace {
struct ChannelSizes {
  int64_t rows;
  int channels, y_channels, first;
};
// Odd parts at the start, in the middle and at the end; parts of fours; the whole; a skip of a real network.
constexpr ChannelSizes channel_sizes[] = {{1, 1, 1, 0},     {5, 3, 6, 0},     {5, 3, 6, 3},  {33, 7, 17, 5},
                                          {9, 8, 12, 4},    {6, 4, 12, 8},    {4, 6, 12, 4}, {257, 12, 12, 0},
                                          {64, 64, 128, 0}, {64, 64, 128, 64}};
}  // namespace

template <>
const std::vector<Case<PutChannels>>& cases() {
  static const auto table = [] {
    std::vector<Case<PutChannels>> t;
    for (const ChannelSizes& s : channel_sizes)
      for (const Activation& act : {no_act, relu, leaky, tanh_act})
        for (Acc acc : both)
          t.push_back(Case<PutChannels>(fmt::format("{} x {} to {} of {} {}{}", s.rows, s.channels, s.first,
                                                    s.y_channels, name_of(act), name_of(acc)),
                                        {.rows = s.rows,
                                         .channels = s.channels,
                                         .y_channels = s.y_channels,
                                         .first = s.first,
                                         .act = act})
                          .in("x", &PutChannels::x, {s.rows, s.channels})
                          .in_out("y", &PutChannels::y, {s.rows, s.y_channels}, normals(), Kind::value, acc));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<TakeChannels>>& cases() {
  static const auto table = [] {
    std::vector<Case<TakeChannels>> t;
    for (const ChannelSizes& s : channel_sizes)
      for (const Activation& act : {no_act, relu, leaky, tanh_act})
        for (Acc acc : both) {
          Case<TakeChannels> c(fmt::format("{} x {} from {} of {} {}{}", s.rows, s.channels, s.first,
                                           s.y_channels, name_of(act), name_of(acc)),
                               {.rows = s.rows,
                                .channels = s.channels,
                                .y_channels = s.y_channels,
                                .first = s.first,
                                .act = act});
          if (act.kind != Act::none)
            c.in("y", &TakeChannels::y, {s.rows, s.y_channels}, uniform(-0.99, 0.99));
          c.in("dy", &TakeChannels::dy, {s.rows, s.y_channels})
              .out("dx", &TakeChannels::dx, {s.rows, s.channels}, Kind::value, acc);
          t.push_back(std::move(c));
        }
    return t;
  }();
  return table;
}

// ----------------------------------------------------------------------------------------------------- gemm

template <>
const std::vector<Case<Gemm>>& cases() {
  static const auto table = [] {
    std::vector<Case<Gemm>> t;
    const auto add = [&](int m, int n, int k, bool ta, bool tb, bool bias, Activation act,
                         Acc acc) -> Case<Gemm>& {
      Case<Gemm> c(fmt::format("{}x{}x{}{}{}{} {}{}", m, n, k, ta ? " At" : "", tb ? " Bt" : "",
                               bias ? " bias" : "", name_of(act), name_of(acc)),
                   {.m = m, .n = n, .k = k, .transpose_a = ta, .transpose_b = tb, .act = act});
      c.in("a", &Gemm::a, ta ? std::vector<int64_t>{k, m} : std::vector<int64_t>{m, k});
      c.in("b", &Gemm::b, tb ? std::vector<int64_t>{n, k} : std::vector<int64_t>{k, n});
      if (bias) c.optional("bias", &Gemm::bias, {n});
      c.out("c", &Gemm::c, {m, n}, Kind::value, acc);
      c.for_tiles = n > 128 || k > 500;
      t.push_back(std::move(c));
      return t.back();
    };
    const int sizes[][3] = {{1, 1, 1},    {1, 7, 5},    {17, 1, 33},   {4, 4, 4},   {33, 65, 17},
                            {64, 64, 64}, {128, 72, 8}, {66, 130, 25}, {65, 31, 68}};
    for (auto [m, n, k] : sizes)
      for (bool ta : {false, true})
        for (bool tb : {false, true}) {
          add(m, n, k, ta, tb, false, no_act, Acc::set);
          add(m, n, k, ta, tb, true, ta ? tanh_act : leaky, Acc::set);
          if (ta == tb) add(m, n, k, ta, tb, tb, no_act, Acc::add);
        }
    for (const Activation& act : activations) add(9, 20, 6, false, true, true, act, Acc::set);
    for (bool ta : {false, true})
      for (bool tb : {false, true}) {
        // k in several splits, each of several stages.
        add(66, 24, 544, ta, tb, tb, no_act, Acc::set);
        add(9, 70, 529, ta, tb, ta, leaky, Acc::set);
        Case<Gemm>& c = add(66, 72, 40, ta, tb, ta, ta ? leaky : no_act, ta ? Acc::set : Acc::add);
        c.name += " to float32";  // from bfloat16 matrices in bfloat16 runs
        c.ports.back().kind = Kind::f32;
        // The largest tiles are for products that fill a GPU.
        add(1409, 1416, 40, ta, tb, false, no_act, Acc::set).real_width = true;
      }
    t.push_back(part_of_buffers(t, "64x64x64 none"));
    t.push_back(part_of_buffers(t, "64x64x64 At Bt none"));
    add(64, 1024, 784, false, true, true, leaky, Acc::set).real_width = true;  // the layers of an MLP GAN
    add(64, 784, 1024, false, false, false, no_act, Acc::set).real_width = true;
    add(1024, 784, 64, true, false, false, no_act, Acc::add).real_width = true;
    return t;
  }();
  return table;
}

// ---------------------------------------------------------------------------------------------- convolution

namespace {

// cpu: small for that device, large for an emulated GPU.
// tiles: several of them, ragged.
enum class Width { small, tiles, cpu, real };

struct ConvSize {
  const char* name;
  Conv2d size;  // without oh, ow
  Width width = Width::small;
};

constexpr const char* sums_over_windows = "4x4 from 32 to 32";

// clang-format off
const ConvSize conv_sizes[] = {
    {"all ones",            {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1}},
    {"1x1",                 {.n = 2, .h = 5, .w = 3, .c = 5, .k = 7}},
    {"1x1 stride 2",        {.n = 1, .h = 6, .w = 5, .c = 8, .k = 16, .sh = 2, .sw = 2}},
    {"3x3 pad 1",           {.n = 2, .h = 7, .w = 9, .c = 3, .k = 5, .kh = 3, .kw = 3, .ph = 1, .pw = 1}},
    {"3x3 one channel",     {.n = 1, .h = 6, .w = 6, .c = 1, .k = 1, .kh = 3, .kw = 3, .ph = 1, .pw = 1}},
    {"3x3 from 1 to 64",    {.n = 1, .h = 5, .w = 4, .c = 1, .k = 64, .kh = 3, .kw = 3, .ph = 1, .pw = 1}},
    {"3x3 from 64 to 1",    {.n = 1, .h = 5, .w = 4, .c = 64, .k = 1, .kh = 3, .kw = 3, .ph = 1, .pw = 1}},
    // Sums over windows in two splits, on the tiles of tensor cores too.
    {sums_over_windows,     {.n = 1, .h = 6, .w = 5, .c = 32, .k = 32, .kh = 4, .kw = 4, .ph = 1, .pw = 1}},
    {"3x3 ragged tiles",    {.n = 3, .h = 5, .w = 5, .c = 17, .k = 65, .kh = 3, .kw = 3, .ph = 1, .pw = 1}, Width::tiles},
    // Sums over pixels in two splits, likewise; more rows than the tallest tile has.
    {"3x3 many pixels",     {.n = 2, .h = 15, .w = 18, .c = 8, .k = 16, .kh = 3, .kw = 3, .ph = 1, .pw = 1}, Width::tiles},
    {"3x3 many pixels of 3", {.n = 2, .h = 16, .w = 17, .c = 3, .k = 5, .kh = 3, .kw = 3, .ph = 1, .pw = 1}},
    {"3x3 no padding",      {.n = 1, .h = 3, .w = 3, .c = 4, .k = 8, .kh = 3, .kw = 3}},
    {"3x3 stride 2",        {.n = 2, .h = 9, .w = 8, .c = 3, .k = 6, .kh = 3, .kw = 3, .sh = 2, .sw = 2, .ph = 1, .pw = 1}},
    {"4x4 stride 2",        {.n = 2, .h = 8, .w = 8, .c = 3, .k = 16, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}},
    {"4x4 stride 2 odd",    {.n = 1, .h = 9, .w = 7, .c = 16, .k = 20, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}},
    {"2x2 stride 2 several tiles", {.n = 2, .h = 14, .w = 10, .c = 24, .k = 72, .kh = 2, .kw = 2, .sh = 2, .sw = 2}, Width::tiles},
    {"4x4 to one pixel",    {.n = 3, .h = 4, .w = 4, .c = 32, .k = 1, .kh = 4, .kw = 4}},
    {"4x4 pad 1",           {.n = 1, .h = 6, .w = 7, .c = 8, .k = 4, .kh = 4, .kw = 4, .ph = 1, .pw = 1}},
    {"2x2 stride 3",        {.n = 1, .h = 10, .w = 12, .c = 3, .k = 4, .kh = 2, .kw = 2, .sh = 3, .sw = 3}},
    {"5x5 stride 3",        {.n = 1, .h = 11, .w = 10, .c = 5, .k = 3, .kh = 5, .kw = 5, .sh = 3, .sw = 3, .ph = 2, .pw = 2}},
    {"3x5 unequal",         {.n = 2, .h = 7, .w = 10, .c = 4, .k = 6, .kh = 3, .kw = 5, .sh = 2, .sw = 1, .ph = 0, .pw = 2}},
    {"1x7 row",             {.n = 1, .h = 4, .w = 9, .c = 3, .k = 3, .kh = 1, .kw = 7, .pw = 3}},
    {"more padding than kernel", {.n = 1, .h = 3, .w = 2, .c = 3, .k = 4, .kh = 3, .kw = 3, .ph = 5, .pw = 4}},
    {"kernel larger than picture", {.n = 2, .h = 2, .w = 1, .c = 4, .k = 4, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 2, .pw = 2}},
    {"dilation 2",          {.n = 1, .h = 9, .w = 8, .c = 5, .k = 8, .kh = 3, .kw = 3, .ph = 2, .pw = 2, .dh = 2, .dw = 2}},
    {"dilation 3x2 stride 2", {.n = 2, .h = 10, .w = 9, .c = 4, .k = 3, .kh = 3, .kw = 2, .sh = 2, .sw = 2, .ph = 3, .pw = 1, .dh = 3, .dw = 2}},
    {"7x7 reflect",         {.n = 1, .h = 9, .w = 8, .c = 3, .k = 8, .kh = 7, .kw = 7, .ph = 3, .pw = 3, .padding = Padding::reflect}},
    {"reflect as far as it goes", {.n = 2, .h = 4, .w = 3, .c = 5, .k = 4, .kh = 3, .kw = 3, .ph = 3, .pw = 2, .padding = Padding::reflect}},
    {"reflect stride 2",    {.n = 1, .h = 7, .w = 6, .c = 4, .k = 8, .kh = 3, .kw = 3, .sh = 2, .sw = 2, .ph = 1, .pw = 1, .padding = Padding::reflect}},
    {"reflect dilation 2",  {.n = 1, .h = 6, .w = 7, .c = 8, .k = 4, .kh = 3, .kw = 3, .ph = 2, .pw = 2, .dh = 2, .dw = 2, .padding = Padding::reflect}},
    {"depthwise",           {.n = 2, .h = 6, .w = 7, .c = 5, .k = 5, .kh = 3, .kw = 3, .ph = 1, .pw = 1, .groups = 5}},
    {"depthwise 3 each stride 2", {.n = 1, .h = 9, .w = 7, .c = 6, .k = 18, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1, .groups = 6}},
    {"depthwise reflect",   {.n = 1, .h = 6, .w = 5, .c = 64, .k = 64, .kh = 3, .kw = 3, .ph = 1, .pw = 1, .groups = 64, .padding = Padding::reflect}},
    {"depthwise dilation 2", {.n = 1, .h = 7, .w = 7, .c = 3, .k = 6, .kh = 3, .kw = 3, .ph = 2, .pw = 2, .dh = 2, .dw = 2, .groups = 3}},
    // DCGAN's discriminator at 64x64 and, run backwards, its generator; the 32x32 network ends in a subset.
    {"dcgan 3 to 64",       {.n = 1, .h = 64, .w = 64, .c = 3, .k = 64, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}, Width::real},
    {"dcgan 64 to 128",     {.n = 1, .h = 32, .w = 32, .c = 64, .k = 128, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}, Width::real},
    {"dcgan 128 to 256",    {.n = 1, .h = 16, .w = 16, .c = 128, .k = 256, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}, Width::real},
    {"dcgan 256 to 512",    {.n = 2, .h = 8, .w = 8, .c = 256, .k = 512, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}, Width::real},
    {"dcgan 512 to 1",      {.n = 4, .h = 4, .w = 4, .c = 512, .k = 1, .kh = 4, .kw = 4}, Width::real},
    {"dcgan noise",         {.n = 2, .h = 4, .w = 4, .c = 512, .k = 100, .kh = 4, .kw = 4}, Width::real},
    {"unet 264 to 512",     {.n = 1, .h = 16, .w = 16, .c = 264, .k = 512, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}, Width::real},
    {"u-net level 5",       {.n = 1, .h = 16, .w = 16, .c = 512, .k = 512, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}, Width::real},
    // Few pixels under many weights.
    {"many weights 3x5 unequal", {.n = 2, .h = 7, .w = 10, .c = 40, .k = 56, .kh = 3, .kw = 5, .sh = 2, .sw = 1, .ph = 0, .pw = 2}, Width::cpu},
    {"many weights dilation 2", {.n = 1, .h = 7, .w = 8, .c = 64, .k = 64, .kh = 3, .kw = 3, .ph = 2, .pw = 2, .dh = 2, .dw = 2}, Width::cpu},
    {"many weights, one pixel", {.n = 1, .h = 2, .w = 2, .c = 64, .k = 32, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}, Width::cpu},
    // Pictures of many tiles whose last ones are cut, in the three shapes of filter that Winograd's serves.
    {"many tiles 4x4 stride 2", {.n = 3, .h = 37, .w = 35, .c = 32, .k = 48, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}, Width::cpu},
    {"many small tiles 4x4 stride 2", {.n = 2, .h = 23, .w = 25, .c = 48, .k = 32, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}, Width::cpu},
    {"many tiles 4x4",      {.n = 1, .h = 20, .w = 19, .c = 48, .k = 32, .kh = 4, .kw = 4, .ph = 1, .pw = 1}, Width::cpu},
    {"many tiles 3x3",      {.n = 1, .h = 25, .w = 23, .c = 32, .k = 32, .kh = 3, .kw = 3, .ph = 1, .pw = 1}, Width::cpu},
    {"resnet block",        {.n = 1, .h = 8, .w = 8, .c = 256, .k = 256, .kh = 3, .kw = 3, .ph = 1, .pw = 1, .padding = Padding::reflect}, Width::real},
};
// clang-format on

// Calls f(name, size, acc, with bias, activation, width) for every convolution case.
template <class F>
void for_each_conv(F&& f) {
  for (const ConvSize& entry : conv_sizes) {
    Conv2d s = entry.size;
    s.oh = Conv2d::out_size(s.h, s.kh, s.sh, s.ph, s.dh);
    s.ow = Conv2d::out_size(s.w, s.kw, s.sw, s.pw, s.dw);
    f(entry.name, s, Acc::set, false, no_act, entry.width);
    // What else a variant of these sizes alone has to obey.
    const std::string_view name = entry.name;
    if (name == "many tiles 4x4 stride 2" || name == "many weights 3x5 unequal" ||
        name == "many weights, one pixel") {
      f(entry.name, s, Acc::set, true, leaky, entry.width);
      f(entry.name, s, Acc::add, false, no_act, entry.width);
    }
    // The case "epilogue" has all of them; here they take turns.
    if (entry.width == Width::tiles) f(entry.name, s, Acc::add, true, no_act, entry.width);
    if (entry.width != Width::small) continue;
    if (name == sums_over_windows || (&entry - conv_sizes) % 2)
      f(entry.name, s, Acc::set, true, leaky, entry.width);
    else f(entry.name, s, Acc::add, false, no_act, entry.width);
  }
  const Conv2d s{.n = 2,
                 .h = 6,
                 .w = 5,
                 .c = 8,
                 .oh = 3,
                 .ow = 2,
                 .k = 12,
                 .kh = 4,
                 .kw = 4,
                 .sh = 2,
                 .sw = 2,
                 .ph = 1,
                 .pw = 1};
  for (const Activation& act : activations)
    for (bool bias : {false, true}) f("epilogue", s, Acc::set, bias, act, Width::small);
  f("epilogue", s, Acc::add, true, no_act, Width::small);
}

// Weights of a size that keeps outputs near 1, as initialisers do.
Generator weights(const Conv2d& s) { return normals(1 / std::sqrt(double(s.kh) * s.kw * s.c / s.groups)); }

std::string conv_name(const char* name, Acc acc, bool bias, const Activation& act) {
  return fmt::format("{}{} {}{}", name, bias ? " bias" : "", name_of(act), name_of(acc));
}

template <class Args>
Case<Args>& set_width(Case<Args>& c, Width width) {
  c.for_tiles = width == Width::tiles;
  c.real_width = width == Width::cpu || width == Width::real;
  c.small_on_cpu = width == Width::cpu;
  return c;
}

std::vector<int64_t> x_shape(const Conv2d& s) { return {s.n, s.h, s.w, s.c}; }
std::vector<int64_t> y_shape(const Conv2d& s) { return {s.n, s.oh, s.ow, s.k}; }
std::vector<int64_t> w_shape(const Conv2d& s) { return {s.k, s.kh, s.kw, s.c / s.groups}; }

}  // namespace

template <>
const std::vector<Case<ConvFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<ConvFwd>> t;
    for_each_conv(
        [&](const char* name, const Conv2d& s, Acc acc, bool bias, const Activation& act, Width width) {
          Case<ConvFwd> c(conv_name(name, acc, bias, act), {.size = s, .act = act});
          c.in("x", &ConvFwd::x, x_shape(s)).in("w", &ConvFwd::w, w_shape(s), weights(s));
          if (bias) c.optional("bias", &ConvFwd::bias, {s.k});
          c.out("y", &ConvFwd::y, y_shape(s), Kind::value, acc);
          t.push_back(std::move(set_width(c, width)));
        });
    t.push_back(part_of_buffers(t, "4x4 from 32 to 32 bias leaky_relu 0.2"));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<ConvBwdData>>& cases() {
  static const auto table = [] {
    std::vector<Case<ConvBwdData>> t;
    for_each_conv(
        [&](const char* name, const Conv2d& s, Acc acc, bool bias, const Activation& act, Width width) {
          Case<ConvBwdData> c(conv_name(name, acc, bias, act), {.size = s, .act = act});
          c.in("dy", &ConvBwdData::dy, y_shape(s)).in("w", &ConvBwdData::w, w_shape(s), weights(s));
          if (bias) c.optional("bias", &ConvBwdData::bias, {s.c});
          c.out("dx", &ConvBwdData::dx, x_shape(s), Kind::value, acc);
          t.push_back(std::move(set_width(c, width)));
        });
    t.push_back(part_of_buffers(t, "4x4 from 32 to 32 bias leaky_relu 0.2"));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<ConvBwdWeight>>& cases() {
  static const auto table = [] {
    std::vector<Case<ConvBwdWeight>> t;
    for_each_conv(
        [&](const char* name, const Conv2d& s, Acc acc, bool bias, const Activation& act, Width width) {
          // A weight gradient has neither bias nor activation, and sums over pixels.
          if ((bias && acc == Acc::set) || act.kind != Act::none || name == sums_over_windows) return;
          t.push_back(Case<ConvBwdWeight>(conv_name(name, acc, false, act), {.size = s})
                          .in("x", &ConvBwdWeight::x, x_shape(s))
                          .in("dy", &ConvBwdWeight::dy, y_shape(s))
                          .out("dw", &ConvBwdWeight::dw, w_shape(s), Kind::f32, acc));
          set_width(t.back(), width);
        });
    t.push_back(part_of_buffers(t, "4x4 stride 2 odd none"));
    return t;
  }();
  return table;
}

// ----------------------------------------------------------------------------------------------------- norm

namespace {

struct NormCase {
  int segments;
  int64_t rows;
  int channels;
  Activation act = no_act;
  double mean = 0.3, deviation = 1.5;  // of x
};

const NormCase norm_cases[] = {
    {1, 1, 1},
    {1, 1, 7, leaky},
    {2, 1, 5},
    {1, 3, 3},
    {1, 31, 3, relu},
    {2, 64, 5, leaky},
    {3, 35, 64, tanh_act},
    {1, 1025, 1},
    {1, 6, 65},
    {4, 16, 33, sigmoid_act},
    {2, 1024, 4, leaky},
    {1, 4099, 3, relu},
    {3, 9, 66, leaky},
    {1, 64, 72, relu},
    {1, 257, 8, no_act, 1000, 1},
    {2, 100, 12, leaky, -30, 0.5},
};

std::string name_of(const NormCase& c) {
  return fmt::format("{}x{}x{} {} mean {:g}", c.segments, c.rows, c.channels, name_of(c.act), c.mean);
}

// The mean, or 1/sqrt(variance + eps), of every (segment, channel) of port 0.
Generator statistics(const NormSize& s, bool reciprocal_deviation) {
  return [=](int64_t count, uint64_t, const std::vector<Values>& earlier) {
    Values values(count);
    for (int64_t i = 0; i < count; ++i) {
      const double* x = earlier[0].data() + i / s.channels * s.rows * s.channels + i % s.channels;
      double sum = 0, squares = 0;
      for (int64_t r = 0; r < s.rows; ++r) sum += x[r * s.channels];
      for (int64_t r = 0; r < s.rows; ++r) squares += std::pow(x[r * s.channels] - sum / double(s.rows), 2);
      values[i] =
          reciprocal_deviation ? 1 / std::sqrt(squares / double(s.rows) + s.eps) : sum / double(s.rows);
    }
    return values;
  };
}

}  // namespace

template <>
const std::vector<Case<NormFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<NormFwd>> t;
    for (const NormCase& n : norm_cases)
      for (bool affine : {true, false})
        for (bool running : {true, false}) {
          Case<NormFwd> c(name_of(n) + (affine ? "" : " plain") + (running ? " running" : ""),
                          {.size = {n.segments, n.rows, n.channels}, .act = n.act});
          c.in("x", &NormFwd::x, {n.segments, n.rows, n.channels}, normals(n.deviation, n.mean));
          if (affine)
            c.optional("gamma", &NormFwd::gamma, {n.channels}, normals(0.2, 1))
                .optional("beta", &NormFwd::beta, {n.channels}, normals(0.5));
          c.out("y", &NormFwd::y, {n.segments, n.rows, n.channels})
              .out("mean", &NormFwd::mean, {n.segments, n.channels}, Kind::f32)
              .out("rstd", &NormFwd::rstd, {n.segments, n.channels}, Kind::f32);
          if (running)
            c.in_out("running_mean", &NormFwd::running_mean, {n.channels}, normals())
                .in_out("running_var", &NormFwd::running_var, {n.channels}, uniform(0.5, 1.5));
          t.push_back(std::move(c));
        }
    for (const NormSize& size : {NormSize{2, 33, 5}, NormSize{1, 1030, 3}})
      t.push_back(Case<NormFwd>(fmt::format("{}x{}x{} add", size.segments, size.rows, size.channels),
                                {.size = size, .act = leaky})
                      .in("x", &NormFwd::x, {size.segments, size.rows, size.channels}, normals(1.5, 0.3))
                      .out("y", &NormFwd::y, {size.segments, size.rows, size.channels}, Kind::value, Acc::add)
                      .out("mean", &NormFwd::mean, {size.segments, size.channels}, Kind::f32)
                      .out("rstd", &NormFwd::rstd, {size.segments, size.channels}, Kind::f32));
    t.push_back(Case<NormFwd>("large eps, momentum", {.size = {1, 50, 6, 0.8}, .momentum = 0.6})
                    .in("x", &NormFwd::x, {50, 6})
                    .out("y", &NormFwd::y, {50, 6})
                    .out("mean", &NormFwd::mean, {6}, Kind::f32)
                    .out("rstd", &NormFwd::rstd, {6}, Kind::f32)
                    .in_out("running_mean", &NormFwd::running_mean, {6}, normals())
                    .in_out("running_var", &NormFwd::running_var, {6}, uniform(0.5, 1.5)));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<NormInfer>>& cases() {
  static const auto table = [] {
    std::vector<Case<NormInfer>> t;
    for (const NormCase& n : norm_cases)
      for (bool affine : {true, false}) {
        const int64_t rows = n.segments * n.rows;
        Case<NormInfer> c(name_of(n) + (affine ? "" : " plain"),
                          {.rows = rows, .channels = n.channels, .act = n.act});
        c.in("x", &NormInfer::x, {rows, n.channels}, normals(n.deviation, n.mean));
        if (affine)
          c.optional("gamma", &NormInfer::gamma, {n.channels}, normals(0.2, 1))
              .optional("beta", &NormInfer::beta, {n.channels}, normals(0.5));
        c.in("mean", &NormInfer::mean, {n.channels}, normals(0.1, n.mean), Kind::f32)
            .in("var", &NormInfer::var, {n.channels}, uniform(0.1, 2), Kind::f32)
            .out("y", &NormInfer::y, {rows, n.channels});
        t.push_back(std::move(c));
      }
    t.push_back(Case<NormInfer>("large eps, add", {.rows = 70, .channels = 9, .eps = 0.8, .act = relu})
                    .in("x", &NormInfer::x, {70, 9})
                    .in("mean", &NormInfer::mean, {9}, normals(0.1), Kind::f32)
                    .in("var", &NormInfer::var, {9}, uniform(0.1, 2), Kind::f32)
                    .out("y", &NormInfer::y, {70, 9}, Kind::value, Acc::add));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<NormBwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<NormBwd>> t;
    const auto add = [&](const NormCase& n, bool affine, bool dx, bool parameters, Acc acc) {
      const NormSize size{n.segments, n.rows, n.channels};
      Case<NormBwd> c(fmt::format("{}{}{}{}{}", name_of(n), affine ? "" : " plain", dx ? " dx" : "",
                                  parameters ? " dgamma dbeta" : "", name_of(acc)),
                      {.size = size, .act = n.act});
      c.in("x", &NormBwd::x, {n.segments, n.rows, n.channels}, normals(n.deviation, n.mean))
          .in("dy", &NormBwd::dy, {n.segments, n.rows, n.channels});
      if (affine)
        c.optional("gamma", &NormBwd::gamma, {n.channels}, normals(0.2, 1))
            .optional("beta", &NormBwd::beta, {n.channels}, normals(0.5));
      c.in("mean", &NormBwd::mean, {n.segments, n.channels}, statistics(size, false), Kind::f32)
          .in("rstd", &NormBwd::rstd, {n.segments, n.channels}, statistics(size, true), Kind::f32);
      if (dx) c.out("dx", &NormBwd::dx, {n.segments, n.rows, n.channels}, Kind::value, acc);
      if (parameters)
        c.out("dgamma", &NormBwd::dgamma, {n.channels}, Kind::f32, acc)
            .out("dbeta", &NormBwd::dbeta, {n.channels}, Kind::f32, acc);
      t.push_back(std::move(c));
    };
    for (const NormCase& n : norm_cases) {
      add(n, true, true, true, Acc::set);
      add(n, true, true, true, Acc::add);
      add(n, true, true, false, Acc::set);
      add(n, true, false, true, Acc::set);
      add(n, false, true, false, Acc::set);
    }
    return t;
  }();
  return table;
}

namespace {

struct LayerNormCase {
  int groups;
  int64_t rows;
  int channels;
  Activation act = no_act;
  double mean = 0.3, deviation = 1.5;  // of x
};

// No group of one element: the exact gradient is 0 there, and any rounding is infinitely wrong.
const LayerNormCase layer_norm_cases[] = {
    {1, 1, 3},          {3, 1, 7, leaky},        {5, 1, 65, tanh_act},
    {2, 9, 1, relu},    {4, 35, 3, sigmoid_act}, {1, 513, 4, leaky},
    {5, 16, 33, leaky}, {2, 70, 64, relu},       {2, 100, 12, leaky, 1000, 1},
};

std::string name_of(const LayerNormCase& c) {
  return fmt::format("{}x{}x{} {} mean {:g}", c.groups, c.rows, c.channels, name_of(c.act), c.mean);
}

}  // namespace

template <>
const std::vector<Case<LayerNormFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<LayerNormFwd>> t;
    for (const LayerNormCase& n : layer_norm_cases)
      for (bool affine : {true, false})
        for (Acc acc : both) {
          if (acc == Acc::add && !affine) continue;
          Case<LayerNormFwd> c(name_of(n) + (affine ? "" : " plain") + name_of(acc),
                               {.size = {n.groups, n.rows, n.channels}, .act = n.act});
          c.in("x", &LayerNormFwd::x, {n.groups, n.rows, n.channels}, normals(n.deviation, n.mean));
          if (affine)
            c.optional("gamma", &LayerNormFwd::gamma, {n.channels}, normals(0.2, 1))
                .optional("beta", &LayerNormFwd::beta, {n.channels}, normals(0.5));
          c.out("y", &LayerNormFwd::y, {n.groups, n.rows, n.channels}, Kind::value, acc)
              .out("mean", &LayerNormFwd::mean, {n.groups}, Kind::f32)
              .out("rstd", &LayerNormFwd::rstd, {n.groups}, Kind::f32);
          t.push_back(std::move(c));
        }
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<LayerNormBwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<LayerNormBwd>> t;
    const auto add = [&](const LayerNormCase& n, bool affine, bool dx, bool parameters, Acc acc) {
      // The groups' statistics are those of one column each.
      const NormSize columns{n.groups, n.rows * n.channels, 1};
      Case<LayerNormBwd> c(fmt::format("{}{}{}{}{}", name_of(n), affine ? "" : " plain", dx ? " dx" : "",
                                       parameters ? " dgamma dbeta" : "", name_of(acc)),
                           {.size = {n.groups, n.rows, n.channels}, .act = n.act});
      c.in("x", &LayerNormBwd::x, {n.groups, n.rows, n.channels}, normals(n.deviation, n.mean))
          .in("dy", &LayerNormBwd::dy, {n.groups, n.rows, n.channels});
      if (affine)
        c.optional("gamma", &LayerNormBwd::gamma, {n.channels}, normals(0.2, 1))
            .optional("beta", &LayerNormBwd::beta, {n.channels}, normals(0.5));
      c.in("mean", &LayerNormBwd::mean, {n.groups}, statistics(columns, false), Kind::f32)
          .in("rstd", &LayerNormBwd::rstd, {n.groups}, statistics(columns, true), Kind::f32);
      if (dx) c.out("dx", &LayerNormBwd::dx, {n.groups, n.rows, n.channels}, Kind::value, acc);
      if (parameters)
        c.out("dgamma", &LayerNormBwd::dgamma, {n.channels}, Kind::f32, acc)
            .out("dbeta", &LayerNormBwd::dbeta, {n.channels}, Kind::f32, acc);
      t.push_back(std::move(c));
    };
    for (const LayerNormCase& n : layer_norm_cases) {
      add(n, true, true, true, Acc::set);
      add(n, true, true, true, Acc::add);
      add(n, true, false, true, Acc::set);
      add(n, false, true, false, Acc::set);
    }
    return t;
  }();
  return table;
}

// ------------------------------------------------------------------------------------------------ attention

namespace {

// Below, at and above a tile of 64; one key alone; widths beyond what tiles hold; scores so large that e^
// overflows without its maximum taken off.
struct AttentionCase {
  AttentionSize size;
  double deviation = 1;  // of q and k
  bool real_width = false;
  bool for_tiles() const { return size.queries >= 64 && size.keys >= 64; }
};
const AttentionCase attention_cases[] = {
    {{1, 1, 1, 1, 1}},
    {{2, 3, 5, 2, 3}},
    {{1, 7, 1, 4, 9}},
    {{1, 1, 70, 8, 5}},
    {{3, 33, 31, 17, 33}},
    {{1, 64, 64, 64, 64, 0.125}},
    {{1, 65, 66, 16, 65}, 0.5},
    {{1, 3, 129, 1, 66}},
    {{2, 3, 9, 1, 256}},
    {{1, 130, 5, 33, 66}, 0.4},
    {{1, 5, 18, 63, 200}, 0.3},
    {{1, 9, 12, 65, 8}, 0.3},             // too wide for tiles
    {{1, 6, 5, 40, 300}, 0.3},            // likewise
    {{1, 40, 70, 8, 12, -1.5}},           // a negative scale
    {{2, 12, 80, 4, 6}, 6},               // scores of hundreds
    {{1, 256, 64, 16, 64}, 0.5, true},    // SAGAN's shape: keys pooled 2x2
    {{1, 300, 256, 32, 256}, 0.5, true},  // two blocks of queries on the cpu
};

std::string name_of(const AttentionCase& c) {
  const AttentionSize& s = c.size;
  return fmt::format("{}x{}x{} widths {} {} scale {:g} deviation {:g}", s.batch, s.queries, s.keys,
                     s.key_width, s.value_width, s.scale, c.deviation);
}

// What AttentionFwd makes of ports 0, 1 and 2 (q, k, v): o, or log_sum_exp.
Generator attention_result(const AttentionSize& s, bool output) {
  return [=](int64_t count, uint64_t, const std::vector<Values>& earlier) {
    const Values &q = earlier[0], &k = earlier[1], &v = earlier[2];
    Values result(count);
    for (int64_t row = 0; row < int64_t(s.batch) * s.queries; ++row) {
      const int64_t first_key = row / s.queries * s.keys;
      Values scores(s.keys);
      for (int64_t m = 0; m < s.keys; ++m)
        for (int64_t c = 0; c < s.key_width; ++c)
          scores[m] += s.scale * q[row * s.key_width + c] * k[(first_key + m) * s.key_width + c];
      const double largest = *std::max_element(scores.begin(), scores.end());
      double sum = 0;
      for (double score : scores) sum += std::exp(score - largest);
      if (!output) result[row] = largest + std::log(sum);
      for (int64_t m = 0; output && m < s.keys; ++m)
        for (int64_t c = 0; c < s.value_width; ++c)
          result[row * s.value_width + c] +=
              std::exp(scores[m] - largest) / sum * v[(first_key + m) * s.value_width + c];
    }
    return result;
  };
}

std::vector<int64_t> q_shape(const AttentionSize& s) { return {s.batch, s.queries, s.key_width}; }
std::vector<int64_t> k_shape(const AttentionSize& s) { return {s.batch, s.keys, s.key_width}; }
std::vector<int64_t> v_shape(const AttentionSize& s) { return {s.batch, s.keys, s.value_width}; }
std::vector<int64_t> o_shape(const AttentionSize& s) { return {s.batch, s.queries, s.value_width}; }

}  // namespace

template <>
const std::vector<Case<AttentionFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<AttentionFwd>> t;
    for (const AttentionCase& a : attention_cases)
      for (Acc acc : both) {
        if (acc == Acc::add && a.real_width) continue;
        const AttentionSize& s = a.size;
        t.push_back(Case<AttentionFwd>(name_of(a) + name_of(acc), {.size = s})
                        .in("q", &AttentionFwd::q, q_shape(s), normals(a.deviation))
                        .in("k", &AttentionFwd::k, k_shape(s), normals(a.deviation))
                        .in("v", &AttentionFwd::v, v_shape(s))
                        .out("o", &AttentionFwd::o, o_shape(s), Kind::value, acc)
                        .out("log_sum_exp", &AttentionFwd::log_sum_exp, {s.batch, s.queries}, Kind::f32));
        t.back().real_width = a.real_width;
        t.back().for_tiles = a.for_tiles();
      }
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<AttentionBwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<AttentionBwd>> t;
    const auto add = [&](const AttentionCase& a, bool dq, bool dk, bool dv, Acc acc) {
      const AttentionSize& s = a.size;
      Case<AttentionBwd> c(fmt::format("{}{}{}{}{}", name_of(a), dq ? " dq" : "", dk ? " dk" : "",
                                       dv ? " dv" : "", name_of(acc)),
                           {.size = s});
      c.in("q", &AttentionBwd::q, q_shape(s), normals(a.deviation))
          .in("k", &AttentionBwd::k, k_shape(s), normals(a.deviation))
          .in("v", &AttentionBwd::v, v_shape(s))
          .in("o", &AttentionBwd::o, o_shape(s), attention_result(s, true))
          .in("log_sum_exp", &AttentionBwd::log_sum_exp, {s.batch, s.queries}, attention_result(s, false),
              Kind::f32)
          .in("d_o", &AttentionBwd::d_o, o_shape(s));
      if (dq) c.out("dq", &AttentionBwd::dq, q_shape(s), Kind::value, acc);
      if (dk) c.out("dk", &AttentionBwd::dk, k_shape(s), Kind::value, acc);
      if (dv) c.out("dv", &AttentionBwd::dv, v_shape(s), Kind::value, acc);
      c.real_width = a.real_width;
      c.for_tiles = a.for_tiles();
      t.push_back(std::move(c));
    };
    for (const AttentionCase& a : attention_cases) {
      add(a, true, true, true, Acc::set);
      if (!a.real_width && a.size.queries != 64) add(a, true, true, true, Acc::add);
    }
    const AttentionCase small{{2, 5, 66, 3, 4}};
    add(small, true, false, false, Acc::set);
    add(small, false, true, false, Acc::set);
    add(small, false, false, true, Acc::add);
    return t;
  }();
  return table;
}

// ----------------------------------------------------------------------------------------------------- loss

namespace {

constexpr GanLoss gan_losses[] = {GanLoss::vanilla, GanLoss::minimax, GanLoss::lsgan, GanLoss::hinge,
                                  GanLoss::wasserstein};
const char* name_of(GanLoss kind) {
  constexpr const char* names[] = {"vanilla", "minimax", "lsgan", "hinge", "wasserstein"};
  return names[int(kind)];
}

// Logits so sure of themselves that e^x leaves float32's range of 1 +- ulp.
Generator sure_logits() { return constant({80, -80, 30, -30, 0, 0.5, -0.5, 17}); }

}  // namespace

template <>
const std::vector<Case<DiscriminatorLoss>>& cases() {
  static const auto table = [] {
    std::vector<Case<DiscriminatorLoss>> t;
    const auto add = [&](const std::string& name, const DiscriminatorLoss& args, const Generator& logits,
                         bool d_real, bool d_fake, Acc acc) {
      Case<DiscriminatorLoss> c(
          fmt::format("{} {} {}+{}{}{}{}", name_of(args.kind), name, args.real_count, args.fake_count,
                      d_real ? " d_real" : "", d_fake ? " d_fake" : "", name_of(acc)),
          args);
      c.in("real", &DiscriminatorLoss::real, {args.real_count}, logits)
          .in("fake", &DiscriminatorLoss::fake, {args.fake_count}, logits);
      if (d_real) c.out("d_real", &DiscriminatorLoss::d_real, {args.real_count}, Kind::value, acc);
      if (d_fake) c.out("d_fake", &DiscriminatorLoss::d_fake, {args.fake_count}, Kind::value, acc);
      c.out("values", &DiscriminatorLoss::values, {4}, Kind::f32);
      t.push_back(std::move(c));
    };
    const std::pair<int64_t, int64_t> sizes[] = {{1, 1}, {31, 31}, {1025, 257}, {3, 64}, {10007, 10007}};
    for (GanLoss kind : gan_losses) {
      for (auto [real, fake] : sizes) {
        DiscriminatorLoss args{.kind = kind, .real_count = real, .fake_count = fake};
        add("normal", args, normals(3), true, true, Acc::set);
        args.real_label = 0.9;
        args.fake_label = 0.1;
        args.scale = 0.5;
        add("smooth half", args, normals(2), true, true, Acc::set);
      }
      const DiscriminatorLoss args{.kind = kind, .real_count = 8, .fake_count = 16};
      add("sure", args, sure_logits(), true, true, Acc::set);
      add("normal", args, normals(), true, true, Acc::add);
      add("normal", args, normals(), false, true, Acc::set);
      add("normal", args, normals(), true, false, Acc::set);
      add("normal", args, normals(), false, false, Acc::set);
    }
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<GeneratorLoss>>& cases() {
  static const auto table = [] {
    std::vector<Case<GeneratorLoss>> t;
    const auto add = [&](const std::string& name, const GeneratorLoss& args, const Generator& logits,
                         bool d_fake, Acc acc) {
      Case<GeneratorLoss> c(fmt::format("{} {} {}{}{}", name_of(args.kind), name, args.count,
                                        d_fake ? " d_fake" : "", name_of(acc)),
                            args);
      c.in("fake", &GeneratorLoss::fake, {args.count}, logits);
      if (d_fake) c.out("d_fake", &GeneratorLoss::d_fake, {args.count}, Kind::value, acc);
      c.out("values", &GeneratorLoss::values, {1}, Kind::f32);
      t.push_back(std::move(c));
    };
    for (GanLoss kind : gan_losses) {
      for (int64_t count : {1, 31, 64, 1025, 10007})
        add("normal", {.kind = kind, .count = count, .scale = 2.5}, normals(3), true, Acc::set);
      add("sure", {.kind = kind, .count = 8}, sure_logits(), true, Acc::set);
      add("normal", {.kind = kind, .count = 33}, normals(), true, Acc::add);
      add("normal", {.kind = kind, .count = 33}, normals(), false, Acc::set);
    }
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<PixelLoss>>& cases() {
  static const auto table = [] {
    std::vector<Case<PixelLoss>> t;
    const auto add = [&](PixelLossKind kind, int64_t count, bool da, bool db, Acc acc,
                         const Generator& values) {
      Case<PixelLoss> c(fmt::format("{} {}{}{}{}", kind == PixelLossKind::l1 ? "l1" : "l2", count,
                                    da ? " da" : "", db ? " db" : "", name_of(acc)),
                        {.kind = kind, .count = count, .scale = 10});
      c.in("a", &PixelLoss::a, {count}, values).in("b", &PixelLoss::b, {count}, values);
      if (da) c.out("da", &PixelLoss::da, {count}, Kind::value, acc);
      if (db) c.out("db", &PixelLoss::db, {count}, Kind::value, acc);
      c.out("value", &PixelLoss::value, {1}, Kind::f32);
      t.push_back(std::move(c));
    };
    for (PixelLossKind kind : {PixelLossKind::l1, PixelLossKind::l2}) {
      for (int64_t count : counts) add(kind, count, true, true, Acc::set, uniform(-1, 1));
      add(kind, 35, true, true, Acc::add, uniform(-1, 1));
      add(kind, 33, true, false, Acc::set, uniform(-1, 1));
      add(kind, 34, false, true, Acc::set, uniform(-1, 1));
      add(kind, 36, false, false, Acc::set, uniform(-1, 1));
      add(kind, 64, true, true, Acc::set, integers(-1, 2));  // with equal pairs: the gradient there is 0
    }
    return t;
  }();
  return table;
}

// ---------------------------------------------------------------------------------------------------- optim

// Learning rates here are large, so that the step and not the weight decides the last digits.

template <>
const std::vector<Case<Adam>>& cases() {
  static const auto table = [] {
    std::vector<Case<Adam>> t;
    const auto add = [&](const char* name, const Adam& args, const Generator& grad, const Generator& m,
                         const Generator& v, int step) {
      t.push_back(Case<Adam>(fmt::format("{} {}", name, args.count), args)
                      .in("grad", &Adam::grad, {args.count}, grad, Kind::f32)
                      .in("scalars", &Adam::scalars, {3},
                          constant({0.5, 1 - std::pow(args.beta1, step), 1 - std::pow(args.beta2, step)}),
                          Kind::f32)
                      .in_out("weight", &Adam::weight, {args.count}, normals())
                      .in_out("m", &Adam::m, {args.count}, m)
                      .in_out("v", &Adam::v, {args.count}, v));
    };
    for (int64_t count : counts) {
      add("usual", {.count = count}, normals(), normals(0.3), uniform(0.01, 2), 3);
      add("dcgan", {.count = count, .beta1 = 0.5, .weight_decay = 0.01}, normals(), normals(0.3),
          uniform(0.01, 2), 10);
    }
    t.push_back(part_of_buffers(t, "usual 257"));
    add("first step", {.count = 100}, normals(), constant({0}), constant({0}), 1);
    add("beside eps", {.count = 100, .eps = 1e-6}, normals(1e-6), constant({0}), constant({0}), 1);
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<Sgd>>& cases() {
  static const auto table = [] {
    std::vector<Case<Sgd>> t;
    for (int64_t count : counts)
      for (double momentum : {0.0, 0.9})
        for (double weight_decay : {0.0, 0.05})
          for (bool velocity : {false, true}) {
            if (momentum > 0 && !velocity) continue;
            Case<Sgd> c(fmt::format("{} momentum {} decay {}{}", count, momentum, weight_decay,
                                    velocity ? " velocity" : ""),
                        {.count = count, .momentum = momentum, .weight_decay = weight_decay});
            c.in("grad", &Sgd::grad, {count}, normals(), Kind::f32)
                .in("scalars", &Sgd::scalars, {3}, constant({0.5, 1, 1}), Kind::f32)
                .in_out("weight", &Sgd::weight, {count}, normals());
            if (velocity) c.in_out("velocity", &Sgd::velocity, {count}, normals());
            t.push_back(std::move(c));
          }
    t.push_back(part_of_buffers(t, "257 momentum 0.9 decay 0.05 velocity"));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<MovingAverage>>& cases() {
  static const auto table = [] {
    std::vector<Case<MovingAverage>> t;
    for (int64_t count : counts)
      for (double decay : {0.0, 0.5, 0.999})
        t.push_back(
            Case<MovingAverage>(fmt::format("{} decay {}", count, decay), {.count = count, .decay = decay})
                .in("weight", &MovingAverage::weight, {count}, normals(100), Kind::f32)
                .in_out("average", &MovingAverage::average, {count}, normals(0.01)));
    t.push_back(part_of_buffers(t, "257 decay 0.5"));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<GradNorm>>& cases() {
  static const auto table = [] {
    std::vector<Case<GradNorm>> t;
    const auto add = [&](const char* name, int64_t count, const Generator& grad) {
      t.push_back(Case<GradNorm>(fmt::format("{} {}", name, count), {.count = count})
                      .in("grad", &GradNorm::grad, {count}, grad, Kind::f32)
                      .out("values", &GradNorm::values, {2}, Kind::f32));
    };
    for (int64_t count : counts) add("normal", count, normals());
    add("zero", 40, constant({0}));
    add("small", 1000, normals(1e-6));
    // One bad element, in the last place.
    for (double bad : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
      for (int64_t count : {1, 33, 5000})
        add(std::isnan(bad) ? "nan" : "infinite", count,
            [bad](int64_t n, uint64_t seed, const std::vector<Values>& earlier) {
              Values values = normals()(n, seed, earlier);
              values.back() = bad;
              return values;
            });
    return t;
  }();
  return table;
}

// ---------------------------------------------------------------------------------------------------- image

template <>
const std::vector<Case<ImageBatch>>& cases() {
  static const auto table = [] {
    std::vector<Case<ImageBatch>> t;
    const auto add = [&](int pictures, const ImageBatch& a, Acc acc = Acc::set) {
      // index, top, left, flip of every picture of the batch
      const auto placement = [=](int64_t count, uint64_t seed, const std::vector<Values>&) {
        const int limits[] = {pictures, a.pool_height - a.height + 1, a.pool_width - a.width + 1, 2};
        Values values(count);
        for (int64_t i = 0; i < count; ++i)
          values[i] = std::floor(limits[i % 4] * double(random_uniform(seed, 0, 0, i)));
        return values;
      };
      t.push_back(
          Case<ImageBatch>(fmt::format("{} of {}x{}x{} from {} of {}x{}{}", a.count, a.height, a.width,
                                       a.channels, pictures, a.pool_height, a.pool_width, name_of(acc)),
                           a)
              .in("pool", &ImageBatch::pool, {pictures, a.pool_height, a.pool_width, a.channels},
                  integers(0, 256), Kind::u8)
              .in("placement", &ImageBatch::placement, {a.count, 4}, placement, Kind::i32)
              .out("batch", &ImageBatch::batch, {a.count, a.height, a.width, a.channels}, Kind::value, acc));
    };
    for (int channels : {1, 3, 4, 5}) {
      add(1, {.count = 1, .pool_height = 1, .pool_width = 1, .height = 1, .width = 1, .channels = channels});
      add(5,
          {.count = 9, .pool_height = 11, .pool_width = 13, .height = 8, .width = 7, .channels = channels});
      add(3,
          {.count = 4, .pool_height = 16, .pool_width = 16, .height = 16, .width = 16, .channels = channels});
    }
    add(4, {.count = 5, .pool_height = 9, .pool_width = 12, .height = 6, .width = 5, .channels = 3},
        Acc::add);
    add(8, {.count = 20, .pool_height = 36, .pool_width = 34, .height = 32, .width = 32, .channels = 3});
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<RgbToLab>>& cases() {
  static const auto table = [] {
    std::vector<Case<RgbToLab>> t;
    for (int64_t count : {1, 33, 1025})
      for (Acc acc : both)
        t.push_back(Case<RgbToLab>(fmt::format("{}{}", count, name_of(acc)), {.count = count})
                        .in("rgb", &RgbToLab::rgb, {count, 3}, uniform(-1, 1))
                        .out("l", &RgbToLab::l, {count}, Kind::value, acc)
                        .out("ab", &RgbToLab::ab, {count, 2}, Kind::value, acc));
    t.push_back(Case<RgbToLab>("corners and the dark", {.count = 8})
                    .in("rgb", &RgbToLab::rgb, {8, 3},
                        constant({-1,    -1,    -1,    1,     1,    1,     -1, 1, -1, 1, -1, 1,
                                  -0.99, -0.98, -0.97, -0.93, -0.9, -0.95, 0,  0, 0,  1, -1, -0.5}))
                    .out("l", &RgbToLab::l, {8})
                    .out("ab", &RgbToLab::ab, {8, 2}));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<LabToRgb>>& cases() {
  static const auto table = [] {
    std::vector<Case<LabToRgb>> t;
    for (int64_t count : {1, 33, 1025})
      for (double wide : {0.2, 1.0})  // mostly inside of what a screen shows; mostly not
        for (Acc acc : both)
          t.push_back(Case<LabToRgb>(fmt::format("{} ab {}{}", count, wide, name_of(acc)), {.count = count})
                          .in("l", &LabToRgb::l, {count}, uniform(-1, 1))
                          .in("ab", &LabToRgb::ab, {count, 2}, uniform(-wide, wide))
                          .out("rgb", &LabToRgb::rgb, {count, 3}, Kind::value, acc));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<PoolExchange>>& cases() {
  static const auto table = [] {
    struct Plan {
      const char* name;
      int kept;
      Values places;  // place and swap of each picture
    };
    const Plan plans[] = {
        {"through", 2, {-1, 0}},
        {"kept", 3, {2, 0, 0, 0}},
        {"swapped", 4, {1, 1, -1, 0, 3, 1}},
        // One place several times: the later pictures show what the earlier ones left.
        {"one place", 1, {0, 1, 0, 1, -1, 1, 0, 0, 0, 1}},
    };
    std::vector<Case<PoolExchange>> t;
    for (const Plan& plan : plans)
      for (int64_t elements : {1, 31, 257, 1025}) {
        const int count = int(plan.places.size()) / 2;
        t.push_back(Case<PoolExchange>(fmt::format("{} {}", plan.name, elements),
                                       {.count = count, .kept = plan.kept, .elements = elements})
                        .in("batch", &PoolExchange::batch, {count, elements})
                        .in("places", &PoolExchange::places, {count, 2}, constant(plan.places), Kind::i32)
                        .in_out("pool", &PoolExchange::pool, {plan.kept, elements}, normals(), Kind::value)
                        .out("shown", &PoolExchange::shown, {count, elements}));
        t.back().bit_exact = true;
      }
    return t;
  }();
  return table;
}

// ------------------------------------------------------------------------------------------------- resample

namespace {

struct ResampleCase {
  const char* name;
  ResampleSize size;  // pools: without oh, ow
  ResampleRule rule = {};
  bool ceil_mode = false;
};

constexpr ResampleRule pool(PoolWindow window, bool count_padding = true) {
  return {.kind = ResampleKind::average_pool, .count_padding = count_padding, .window = window};
}
constexpr ResampleRule adaptive{.kind = ResampleKind::adaptive_average};
constexpr ResampleRule bilinear{.kind = ResampleKind::bilinear};
constexpr ResampleRule bilinear_corners{.kind = ResampleKind::bilinear, .align_corners = true};
constexpr ResampleRule nearest{.kind = ResampleKind::nearest};

// clang-format off
const ResampleCase pool_cases[] = {
    {"one pixel",           {1, 1, 1, 1}, pool({})},
    {"2x2",                 {2, 6, 8, 5}, pool({2, 2, 2, 2})},
    {"2x2 odd",             {1, 7, 5, 3}, pool({2, 2, 2, 2})},
    {"2x2 odd ceil",        {1, 7, 5, 3}, pool({2, 2, 2, 2}), true},
    {"2x2 ceil uncounted",  {1, 7, 5, 3}, pool({2, 2, 2, 2}, false), true},
    {"3x3 stride 1 pad 1",  {1, 6, 5, 33}, pool({3, 3, 1, 1, 1, 1})},
    {"3x3 stride 2 pad 1",  {2, 9, 8, 4}, pool({3, 3, 2, 2, 1, 1})},
    {"3x3 uncounted",       {2, 9, 8, 4}, pool({3, 3, 2, 2, 1, 1}, false)},
    {"3x3 pad 1 ceil",      {1, 8, 9, 2}, pool({3, 3, 2, 2, 1, 1}), true},
    {"2x2 stride 1",        {1, 5, 4, 3}, pool({2, 2, 1, 1})},
    {"2x2 stride 3",        {1, 8, 11, 3}, pool({2, 2, 3, 3})},
    {"4x1 unequal",         {1, 9, 7, 2}, pool({4, 1, 2, 3, 2, 0})},
    {"the whole picture",   {3, 5, 4, 7}, pool({5, 4, 1, 1})},
};
const ResampleCase resize_cases[] = {
    {"adaptive to 1",       {2, 7, 9, 3, 1, 1}, adaptive},
    {"adaptive to 2",       {1, 7, 9, 3, 2, 2}, adaptive},
    {"adaptive to 3x6",     {1, 10, 13, 4, 3, 6}, adaptive},
    {"adaptive to more",    {1, 3, 2, 5, 7, 3}, adaptive},
    {"nearest x2",          {2, 3, 5, 4, 6, 10}, nearest},
    {"nearest x3",          {1, 4, 1, 33, 12, 3}, nearest},
    {"nearest 7 to 5",      {1, 7, 5, 3, 5, 7}, nearest},
    {"nearest to less",     {1, 33, 16, 2, 7, 3}, nearest},
    {"bilinear same size",  {1, 4, 5, 3, 4, 5}, bilinear},
    {"bilinear x2",         {2, 5, 4, 3, 10, 8}, bilinear},
    {"bilinear 3 to 7",     {1, 3, 7, 5, 7, 3}, bilinear},
    {"bilinear to less",    {1, 33, 16, 2, 7, 3}, bilinear},
    {"bilinear from 1",     {1, 1, 2, 3, 4, 1}, bilinear},
    {"bilinear to 63",      {1, 6, 5, 1, 63, 31}, bilinear},
    {"corners same size",   {1, 4, 5, 3, 4, 5}, bilinear_corners},
    {"corners x2",          {2, 5, 4, 3, 10, 8}, bilinear_corners},
    {"corners 3 to 7",      {1, 3, 7, 5, 7, 3}, bilinear_corners},
    {"corners to less",     {1, 33, 16, 2, 7, 3}, bilinear_corners},
    {"corners from 1 to 1", {1, 1, 6, 3, 4, 1}, bilinear_corners},
    {"corners to 60",       {1, 6, 6, 2, 60, 60}, bilinear_corners},
};
// clang-format on

ResampleSize pooled(const ResampleCase& c) {
  const PoolWindow& p = c.rule.window;
  ResampleSize s = c.size;
  s.oh = PoolWindow::out_size(s.h, p.kh, p.sh, p.ph, c.ceil_mode);
  s.ow = PoolWindow::out_size(s.w, p.kw, p.sw, p.pw, c.ceil_mode);
  return s;
}

// Calls f(name, size, rule) for every linear case.
template <class F>
void for_each_resampling(F&& f) {
  for (const ResampleCase& c : pool_cases) f(std::string("average ") + c.name, pooled(c), c.rule);
  for (const ResampleCase& c : resize_cases) f(std::string(c.name), c.size, c.rule);
}

std::vector<int64_t> x_shape(const ResampleSize& s) { return {s.n, s.h, s.w, s.c}; }
std::vector<int64_t> y_shape(const ResampleSize& s) { return {s.n, s.oh, s.ow, s.c}; }

}  // namespace

template <>
const std::vector<Case<ResampleFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<ResampleFwd>> t;
    for (Acc acc : both)
      for_each_resampling([&](const std::string& name, const ResampleSize& s, const ResampleRule& rule) {
        t.push_back(Case<ResampleFwd>(name + name_of(acc), {.size = s, .rule = rule})
                        .in("x", &ResampleFwd::x, x_shape(s))
                        .out("y", &ResampleFwd::y, y_shape(s), Kind::value, acc));
      });
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<ResampleBwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<ResampleBwd>> t;
    for (Acc acc : both)
      for_each_resampling([&](const std::string& name, const ResampleSize& s, const ResampleRule& rule) {
        t.push_back(Case<ResampleBwd>(name + name_of(acc), {.size = s, .rule = rule})
                        .in("dy", &ResampleBwd::dy, y_shape(s))
                        .out("dx", &ResampleBwd::dx, x_shape(s), Kind::value, acc));
      });
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<MaxPoolFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<MaxPoolFwd>> t;
    for (Acc acc : both)
      for (const ResampleCase& c : pool_cases) {
        const ResampleSize s = pooled(c);
        t.push_back(Case<MaxPoolFwd>(c.name + std::string(name_of(acc)), {.size = s, .window = c.rule.window})
                        .in("x", &MaxPoolFwd::x, x_shape(s), normals(1, -3))
                        .out("y", &MaxPoolFwd::y, y_shape(s), Kind::value, acc));
      }
    return t;
  }();
  return table;
}

// Also with many equal elements: the first of them has the gradient, on every device.
template <>
const std::vector<Case<MaxPoolBwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<MaxPoolBwd>> t;
    for (bool equal : {false, true})
      for (Acc acc : both)
        for (const ResampleCase& c : pool_cases) {
          const ResampleSize s = pooled(c);
          t.push_back(Case<MaxPoolBwd>(fmt::format("{}{}{}", c.name, equal ? " equal" : "", name_of(acc)),
                                       {.size = s, .window = c.rule.window})
                          .in("x", &MaxPoolBwd::x, x_shape(s), equal ? constant({0, -0.0}) : normals(1, -3))
                          .in("dy", &MaxPoolBwd::dy, y_shape(s))
                          .out("dx", &MaxPoolBwd::dx, x_shape(s), Kind::value, acc));
        }
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<PixelShuffle>>& cases() {
  static const auto table = [] {
    std::vector<Case<PixelShuffle>> t;
    const PixelShuffle sizes[] = {{.n = 1, .h = 1, .w = 1, .c = 1, .factor = 1},
                                  {.n = 2, .h = 3, .w = 5, .c = 3, .factor = 2},
                                  {.n = 1, .h = 2, .w = 1, .c = 7, .factor = 3},
                                  {.n = 1, .h = 4, .w = 3, .c = 1, .factor = 4}};
    for (PixelShuffle size : sizes)
      for (bool inverse : {false, true})
        for (Acc acc : both) {
          size.inverse = inverse;
          const int64_t r = size.factor;
          const std::vector<int64_t> small = {size.n, size.h, size.w, size.c * r * r},
                                     large = {size.n, size.h * r, size.w * r, size.c};
          t.push_back(Case<PixelShuffle>(fmt::format("{}x{}x{}x{} by {}{}{}", size.n, size.h, size.w, size.c,
                                                     r, inverse ? " inverse" : "", name_of(acc)),
                                         size)
                          .in("x", &PixelShuffle::x, inverse ? large : small)
                          .out("y", &PixelShuffle::y, inverse ? small : large, Kind::value, acc));
        }
    return t;
  }();
  return table;
}

// ------------------------------------------------------------------------------------------------------ rng

namespace {

template <class Args>
std::vector<Case<Args>> random_cases() {
  std::vector<Case<Args>> t;
  for (int64_t count : {1, 2, 3, 4, 5, 31, 1025, 10007})
    for (uint64_t seed : {uint64_t(0), uint64_t(0x123456789ABCDEF0)}) {
      t.push_back(Case<Args>(fmt::format("{} seed {}", count, seed),
                             {.count = count, .seed = seed, .stream = 6, .step = seed ? 70000u : 0u})
                      .out("y", &Args::y, {count}));
      t.back().bit_exact = true;
    }
  t.push_back(Case<Args>("37 add", {.count = 37, .seed = 5, .stream = 2, .step = 1})
                  .out("y", &Args::y, {37}, Kind::value, Acc::add));
  t.back().bit_exact = true;
  // A counter on the device, large enough that the sum with `step` wraps.
  for (int counter : {70000, -2}) {
    t.push_back(
        Case<Args>(fmt::format("37 counter {}", counter), {.count = 37, .seed = 5, .stream = 2, .step = 3})
            .optional("step_at", &Args::step_at, {1}, constant({double(counter)}), Kind::i32)
            .out("y", &Args::y, {37}));
    t.back().bit_exact = true;
  }
  return t;
}

}  // namespace

template <>
const std::vector<Case<RandomNormal>>& cases() {
  static const auto table = random_cases<RandomNormal>();
  return table;
}

template <>
const std::vector<Case<RandomUniform>>& cases() {
  static const auto table = random_cases<RandomUniform>();
  return table;
}

template <>
const std::vector<Case<Dropout>>& cases() {
  static const auto table = [] {
    std::vector<Case<Dropout>> t;
    for (int64_t count : {1, 3, 4, 5, 31, 1025, 10007})
      for (double p : {0.0, 0.5, 0.3, 0.99})
        for (uint64_t first : {uint64_t(0), uint64_t(3) << 40, uint64_t(6)})
          for (Acc acc : both) {
            if (count > 1025 && (first == 6 || acc == Acc::add)) continue;
            t.push_back(
                Case<Dropout>(fmt::format("{} p {} first {}{}", count, p, first, name_of(acc)),
                              {.count = count, .p = p, .seed = 7, .stream = 8, .step = 41, .first = first})
                    .in("x", &Dropout::x, {count})
                    .out("y", &Dropout::y, {count}, Kind::value, acc));
          }
    for (uint64_t first : {uint64_t(0), uint64_t(6)})
      t.push_back(Case<Dropout>(fmt::format("37 counter first {}", first),
                                {.count = 37, .p = 0.5, .seed = 7, .stream = 8, .step = 2, .first = first})
                      .optional("step_at", &Dropout::step_at, {1}, constant({70000}), Kind::i32)
                      .in("x", &Dropout::x, {37})
                      .out("y", &Dropout::y, {37}));
    return t;
  }();
  return table;
}

}  // namespace gan::tests
