// Pointwise operations and sums: activations, arithmetic, copies, concatenation of channels.
#pragma once
#include "kernels/contract/ports.h"
#include "kernels/contract/variant.h"

namespace gan {

// y = act(x). `count` elements.
struct ActivationFwd {
  static constexpr const char* op = "activation_fwd";
  int64_t count = 0;
  Activation act;
  In x;
  Out y;

  static constexpr auto ports() {
    return std::array{reads("x", &ActivationFwd::x, elements), writes("y", &ActivationFwd::y, elements)};
  }
  void sizes(Sizes& s) {
    s.size("count", count, 1024, 1 << 22);
    s.activation(act);
  }
  const char* wrong() const { return count < 0 ? "the count is negative" : act.wrong(); }
};

// dx = dy * act'(.), from the forward output y.
struct ActivationBwd {
  static constexpr const char* op = "activation_bwd";
  int64_t count = 0;
  Activation act;
  In y, dy;
  Out dx;

  static constexpr auto ports() {
    return std::array{reads("y", &ActivationBwd::y, elements), reads("dy", &ActivationBwd::dy, elements),
                      writes("dx", &ActivationBwd::dx, elements)};
  }
  void sizes(Sizes& s) {
    s.size("count", count, 1024, 1 << 22);
    s.activation(act);
  }
  const char* wrong() const { return count < 0 ? "the count is negative" : act.wrong(); }
};

enum class BinaryKind : uint8_t { add, subtract, multiply };
// y = a (+,-,*) b. b has b_count elements: `count`, or 1 for a scalar that lies on the device.
struct Binary {
  static constexpr const char* op = "binary";
  int64_t count = 0, b_count = 0;
  BinaryKind kind = BinaryKind::add;
  In a, b;
  Out y;

  static constexpr auto ports() {
    return std::array{reads("a", &Binary::a, elements),
                      reads("b", &Binary::b, [](const Binary& o) -> Extents { return {o.b_count}; }),
                      writes("y", &Binary::y, elements)};
  }
  void sizes(Sizes& s) {
    bool scalar = b_count == 1;
    s.size("count", count, 1024, 1 << 22);
    s.flag("scalar", scalar);
    s.choice("kind", kind, {"add", "subtract", "multiply"});
    b_count = scalar ? 1 : count;
  }
  const char* wrong() const {
    if (count < 0) return "the count is negative";
    return b_count == count || b_count == 1 ? nullptr : "b must have as many elements as a, or one";
  }
};

// y = scale * x + shift; also converts between float types (scale 1, shift 0: a plain copy or cast).
struct Affine {
  static constexpr const char* op = "affine";
  int64_t count = 0;
  double scale = 1, shift = 0;
  In x;
  Out y;

  static constexpr auto ports() {
    return std::array{reads("x", &Affine::x, elements), writes("y", &Affine::y, elements)};
  }
  void sizes(Sizes& s) { s.size("count", count, 1024, 1 << 22); }
  const char* wrong() const { return count < 0 ? "the count is negative" : nullptr; }
};

// y = (x + shift)^exponent where x + shift is above 0: square root (0.5), reciprocal (-1), reciprocal root (-0.5). Other
// numbers give what pow() gives: a whole exponent has powers of negative numbers, the others have none (NaN).
struct Power {
  static constexpr const char* op = "power";
  int64_t count = 0;
  double exponent = 0.5, shift = 0;
  In x;
  Out y;

  static constexpr auto ports() {
    return std::array{reads("x", &Power::x, elements).positive(), writes("y", &Power::y, elements)};
  }
  void sizes(Sizes& s) { s.size("count", count, 1024, 1 << 22); }
  const char* wrong() const { return count < 0 ? "the count is negative" : nullptr; }
};

// y[i] = scale * x[0] for every i; without x: y[i] = scale. (The backward of a sum; also fills a buffer.)
struct Broadcast {
  static constexpr const char* op = "broadcast";
  int64_t count = 0;
  double scale = 1;
  In x;
  Out y;

  static constexpr auto ports() {
    return std::array{reads("x", &Broadcast::x, scalar, Kind::float32).optional(),
                      writes("y", &Broadcast::y, elements)};
  }
  void sizes(Sizes& s) { s.size("count", count, 1024, 1 << 22); }
  const char* wrong() const { return count < 0 ? "the count is negative" : nullptr; }
};

// sum[0] = scale * (x[0] + ... + x[count-1]).
struct Sum {
  static constexpr const char* op = "sum";
  int64_t count = 0;
  double scale = 1;
  In x;
  Out sum;

  static constexpr auto ports() {
    return std::array{reads("x", &Sum::x, elements), writes("sum", &Sum::sum, scalar, Kind::float32)};
  }
  void sizes(Sizes& s) { s.size("count", count, 16384, 1 << 22); }
  const char* wrong() const { return count < 0 ? "the count is negative" : nullptr; }
};

// sums[c] = sum over rows of x[r,c]: the gradient of a bias.
struct SumRows {
  static constexpr const char* op = "sum_rows";
  int64_t rows = 0;
  int channels = 0;
  In x;
  Out sums;

  static constexpr auto ports() {
    return std::array{
        reads("x", &SumRows::x,
              [](const SumRows& o) -> Extents {
                return {o.rows, o.channels};
              }),
        writes(
            "sums", &SumRows::sums, [](const SumRows& o) -> Extents { return {o.channels}; }, Kind::float32)};
  }
  void sizes(Sizes& s) {
    s.size("rows", rows, 256, 1 << 16);
    s.size("channels", channels, 64, 64);
  }
  const char* wrong() const {
    return rows >= 1 && channels >= 1 ? nullptr : "rows and channels must be at least 1";
  }
};

// What PutChannels and TakeChannels share: x has `channels` of the y_channels of y, from `first` on.
template <class Args>
Extents narrow_rows(const Args& o) {
  return {o.rows, o.channels};
}
template <class Args>
Extents wide_rows(const Args& o) {
  return {o.rows, o.y_channels};
}
template <class Args>
void channel_part_sizes(Args& o, Sizes& s) {
  s.size("rows", o.rows, 64, 1 << 16);
  s.size("channels", o.channels, 32, 64);
  s.size("first", o.first, 32, 64, 0);
  s.size("y_channels", o.y_channels, o.first + o.channels, o.first + o.channels);
  s.activation(o.act);
}
template <class Args>
const char* wrong_channel_part(const Args& o) {
  if (o.rows < 1 || o.channels < 1) return "rows and channels must be at least 1";
  if (o.first < 0 || o.first > o.y_channels - o.channels) return "first + channels is more than y_channels";
  return o.act.wrong();
}

// One part of a concatenation of channels: y[r, first + c] = act(x[r, c]) for c < channels. The other
// channels of y stay as they are.
struct PutChannels {
  static constexpr const char* op = "put_channels";
  int64_t rows = 0;
  int channels = 0;    // of x
  int y_channels = 0;  // of y
  int first = 0;       // first + channels <= y_channels
  Activation act;
  In x;
  Out y;

  static constexpr auto ports() {
    return std::array{reads("x", &PutChannels::x, narrow_rows), updates("y", &PutChannels::y, wide_rows)};
  }
  void sizes(Sizes& s) { channel_part_sizes(*this, s); }
  const char* wrong() const { return wrong_channel_part(*this); }
};

// Its gradient: dx[r, c] = dy[r, first + c] * act'(.), from the forward output y, which may be null without
// an activation.
struct TakeChannels {
  static constexpr const char* op = "take_channels";
  int64_t rows = 0;
  int channels = 0, y_channels = 0, first = 0;  // as in PutChannels
  Activation act;
  In y, dy;
  Out dx;

  static constexpr auto ports() {
    return std::array{reads("y", &TakeChannels::y, wide_rows).optional(),
                      reads("dy", &TakeChannels::dy, wide_rows),
                      writes("dx", &TakeChannels::dx, narrow_rows)};
  }
  void sizes(Sizes& s) { channel_part_sizes(*this, s); }
  const char* wrong() const {
    if (!y && act.kind != Act::none) return "the gradient of an activation needs its output y";
    return wrong_channel_part(*this);
  }
};

struct PointwiseTable {
  static constexpr const char* family = "pointwise";
  Op<ActivationFwd> activation_fwd = {};
  Op<ActivationBwd> activation_bwd = {};
  Op<Binary> binary = {};
  Op<Affine> affine = {};
  Op<Power> power = {};
  Op<Broadcast> broadcast = {};
  Op<Sum> sum = {};
  Op<SumRows> sum_rows = {};
  Op<PutChannels> put_channels = {};
  Op<TakeChannels> take_channels = {};

  // Calls f(op) for every operation of `table`, which is a PointwiseTable, const or not.
  template <class Table, class F>
  static constexpr void for_each(Table& table, F&& f) {
    f(table.activation_fwd);
    f(table.activation_bwd);
    f(table.binary);
    f(table.affine);
    f(table.power);
    f(table.broadcast);
    f(table.sum);
    f(table.sum_rows);
    f(table.put_channels);
    f(table.take_channels);
  }
};

}  // namespace gan
