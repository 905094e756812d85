// Cases of pointwise operations and sums.
#include "tests/cases/case_parts.h"

namespace gan::tests {

template <>
const std::vector<Case<ActivationFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<ActivationFwd>> t;
    for (const Activation& act : activations)
      for (int64_t count : counts)
        t.push_back(
            Case<ActivationFwd>(fmt::format("{} {}", name_of(act), count), {.count = count, .act = act})
                .fill("x", normals(2)));
    t.push_back(Case<ActivationFwd>("tanh add", {.count = 33, .act = tanh_act}).accumulate(Acc::add));
    t.push_back(part_of_buffers(t, "relu 257"));
    for (const Activation& act : activations)
      t.push_back(Case<ActivationFwd>(name_of(act) + " far out", {.count = 8, .act = act})
                      .fill("x", constant({80, -80, 0, -0.0, 20, -20, 1e-3, -1e-3})));
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
                          .fill("y", act.kind == Act::sigmoid ? uniform(0.01, 0.99) : uniform(-0.99, 0.99))
                          .accumulate(acc));
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
                            .accumulate(acc));
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
                .stored_as("x", x)
                .stored_as("y", y)
                .accumulate(acc));
      };
      add("scale and shift", -0.75, 3.1, Kind::value, Kind::value);
      add("scaled add", 0.3, 0, Kind::value, Kind::value, Acc::add);
      add("copy", 1, 0, Kind::value, Kind::value);
      add("to float32", 1, 0, Kind::value, Kind::float32);    // a conversion in bfloat16 runs
      add("from float32", 1, 0, Kind::float32, Kind::value);  // likewise
    }
    t.push_back(part_of_buffers(t, "scaled add 257"));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<Power>>& cases() {
  static const auto table = [] {
    std::vector<Case<Power>> t;
    const auto add = [&](const char* what, int64_t count, double exponent, double shift, Acc acc = Acc::set) {
      t.push_back(Case<Power>(fmt::format("{} {}{}", what, count, name_of(acc)),
                              {.count = count, .exponent = exponent, .shift = shift})
                      .accumulate(acc));
    };
    for (int64_t count : counts) {
      add("root", count, 0.5, 0);
      add("reciprocal", count, -1, 0.1);
      add("reciprocal root", count, -0.5, 1e-5);
      add("its gradient", count, -1.5, 1e-5);
    }
    add("root", 33, 0.5, 0.2, Acc::add);
    add("reciprocal", 1025, -1, 0, Acc::add);
    add("cube", 257, 3, -0.25, Acc::add);
    t.push_back(part_of_buffers(t, "reciprocal root 257"));
    // The root of 0 is 0, its reciprocal infinite; a whole exponent has powers of negative numbers.
    t.push_back(
        Case<Power>("root of 0", {.count = 4, .exponent = 0.5}).fill("x", constant({0, 1, 4, 1e-30})));
    for (double exponent : {-0.5, -1.0})
      t.push_back(Case<Power>(fmt::format("infinite {}", exponent), {.count = 4, .exponent = exponent})
                      .fill("x", constant({0, 1, 4, 1e-12})));
    for (double exponent : {-1.0, 2.0, -2.0})
      t.push_back(Case<Power>(fmt::format("negative {}", exponent), {.count = 4, .exponent = exponent})
                      .fill("x", constant({-3, -0.5, 2, -1})));
    t.push_back(
        Case<Power>("none of negative", {.count = 4, .exponent = 0.5}).fill("x", constant({-1, 1, -4, 9})));
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
                        .with("x")
                        .accumulate(acc));
        t.push_back(
            Case<Broadcast>(fmt::format("fill {}{}", count, name_of(acc)), {.count = count, .scale = -0.1})
                .accumulate(acc));
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
                        .fill("x", normals(1, 0.5))
                        .accumulate(acc));
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
                        .fill("x", normals(1, 0.5))
                        .accumulate(acc));
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
                          .accumulate(acc));
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
          if (act.kind != Act::none) c.with("y", uniform(-0.99, 0.99));
          c.accumulate(acc);
          t.push_back(std::move(c));
        }
    return t;
  }();
  return table;
}

}  // namespace gan::tests
