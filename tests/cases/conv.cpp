// Cases of convolutions.
#include "tests/cases/case_parts.h"

#include <cmath>

namespace gan::tests {

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
    // Whose products, forwards and backwards, get the large tile of wgmma.
    {"1x1 from 8 to 1088",  {.n = 1, .h = 33, .w = 35, .c = 8, .k = 1088}, Width::real},
    {"1x1 from 1088 to 8",  {.n = 1, .h = 33, .w = 35, .c = 1088, .k = 8}, Width::real},
    // Few pixels under many weights.
    {"many weights 3x5 unequal", {.n = 2, .h = 7, .w = 10, .c = 40, .k = 56, .kh = 3, .kw = 5, .sh = 2, .sw = 1, .ph = 0, .pw = 2}, Width::cpu},
    {"many weights dilation 2", {.n = 1, .h = 7, .w = 8, .c = 64, .k = 64, .kh = 3, .kw = 3, .ph = 2, .pw = 2, .dh = 2, .dw = 2}, Width::cpu},
    {"many weights, one pixel", {.n = 1, .h = 2, .w = 2, .c = 64, .k = 32, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}, Width::cpu},
    // Pictures of many tiles whose last ones are cut, in the three shapes of filter that Winograd's serves.
    {"many tiles 4x4 stride 2", {.n = 3, .h = 37, .w = 35, .c = 32, .k = 48, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}, Width::cpu},
    {"many small tiles 4x4 stride 2", {.n = 2, .h = 23, .w = 25, .c = 48, .k = 32, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}, Width::cpu},
    {"many tiles 4x4",      {.n = 1, .h = 20, .w = 19, .c = 48, .k = 32, .kh = 4, .kw = 4, .ph = 1, .pw = 1}, Width::cpu},
    {"many tiles 3x3",      {.n = 1, .h = 25, .w = 23, .c = 32, .k = 32, .kh = 3, .kw = 3, .ph = 1, .pw = 1}, Width::cpu},
    {"many tiles 3x3 reflect", {.n = 2, .h = 25, .w = 23, .c = 32, .k = 48, .kh = 3, .kw = 3, .ph = 1, .pw = 1, .padding = Padding::reflect}, Width::cpu},
    {"many tiles 4x4 stride 2 reflect", {.n = 1, .h = 37, .w = 35, .c = 32, .k = 32, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 2, .pw = 1, .padding = Padding::reflect}, Width::cpu},
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

}  // namespace

template <>
const std::vector<Case<ConvFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<ConvFwd>> t;
    for_each_conv(
        [&](const char* name, const Conv2d& s, Acc acc, bool bias, const Activation& act, Width width) {
          Case<ConvFwd> c(conv_name(name, acc, bias, act), {.size = s, .act = act});
          c.fill("w", weights(s));
          if (bias) c.with("bias");
          c.accumulate(acc);
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
          c.fill("w", weights(s));
          if (bias) c.with("bias");
          c.accumulate(acc);
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
          t.push_back(Case<ConvBwdWeight>(conv_name(name, acc, false, act), {.size = s}).accumulate(acc));
          set_width(t.back(), width);
        });
    t.push_back(part_of_buffers(t, "4x4 stride 2 odd none"));
    return t;
  }();
  return table;
}

}  // namespace gan::tests
