// Statistics of each picture, filters and colours, made of other operations: no records of their own.
#include "engine/tensor/picture_ops.h"

#include "kernels/shared/colour.h"

namespace gan {

Tensor constants(DeviceContext& c, Shape shape, const std::vector<double>& values) {
  GAN_CHECK(shape.count() == int64_t(values.size()), "{} numbers for {}", values.size(), to_string(shape));
  const Tensor y(c, shape);
  for (int64_t i = 0; i < shape.count(); ++i)
    c.run(c.kernels().pointwise.broadcast,
          {.count = 1, .scale = values[size_t(i)], .x = {}, .y = y.view(i, {1}).out()});
  return y;
}

// ---------------------------------------------------------------------------------------------- statistics

namespace {

void check_pictures(const char* name, const Tensor& x) {
  GAN_CHECK(x.shape().rank == 4, "{} of {}; wanted (N,H,W,C)", name, to_string(x.shape()));
}

void check_same_shape(const char* name, const Tensor& a, const Tensor& b) {
  GAN_CHECK(a.shape() == b.shape(), "{} of {} and {}", name, to_string(a.shape()), to_string(b.shape()));
}

// In float32 (float64 on ref): differences of nearly equal numbers, which bfloat16 would round away.
Tensor wide(const Tensor& x) { return cast(x, x.context().real()); }

// (N,1,1,C) at every pixel of a picture of this shape.
Tensor spread(const Tensor& values, const Shape& shape) {
  return resize_nearest(values, int(shape[1]), int(shape[2]));
}

}  // namespace

Tensor gram(const Tensor& x) {
  check_pictures("gram", x);
  const int64_t pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  const Tensor f = reshape(x, {x.dim(0), pixels, channels});
  return affine(matmul_wide(f, f, true, false), 1 / double(channels * pixels));
}

ChannelStatistics channel_statistics(const Tensor& pictures, Variance variance, double eps) {
  check_pictures("channel_statistics", pictures);
  const Tensor x = wide(pictures);
  const double pixels = double(x.dim(1) * x.dim(2));
  const bool unbiased = variance == Variance::unbiased;
  GAN_CHECK(!unbiased || pixels > 1, "the unbiased deviation of one pixel: {}", to_string(x.shape()));
  const Tensor mean = adaptive_average_pool(x, 1, 1);
  const Tensor centred = subtract(x, spread(mean, x.shape()));
  const Tensor square = adaptive_average_pool(multiply(centred, centred), 1, 1);
  const double correction = unbiased ? pixels / (pixels - 1) : 1;
  return {mean, power(affine(square, correction), 0.5, eps)};
}

Tensor with_statistics(const Tensor& x, const ChannelStatistics& own, const ChannelStatistics& wanted) {
  check_pictures("with_statistics", x);
  const Tensor scale = multiply(wanted.deviation, power(own.deviation, -1));
  const Tensor centred = subtract(x, spread(own.mean, x.shape()));
  return add(multiply(centred, spread(scale, x.shape())), spread(wanted.mean, x.shape()));
}

Tensor adain(const Tensor& content, const Tensor& style) {
  GAN_CHECK(style.shape().rank == 4 && content.shape().rank == 4 && style.dim(0) == content.dim(0) &&
                style.dim(3) == content.dim(3),
            "adain of {} and {}: as many pictures and channels are wanted", to_string(content.shape()),
            to_string(style.shape()));
  return with_statistics(content, channel_statistics(content), channel_statistics(style));
}

Tensor blend(const Tensor& a, const Tensor& b, double amount) {
  return amount < 1 ? add(affine(b, amount), affine(a, 1 - amount)) : b;
}

// A row of a picture, or a picture, is one row of channels here: its neighbours are channels further on.
Tensor total_variation(const Tensor& pictures, PixelLossKind kind, double scale) {
  check_pictures("total_variation", pictures);
  const Tensor x = wide(pictures);
  const int64_t n = x.dim(0), height = x.dim(1), row = x.dim(2) * x.dim(3);
  GAN_CHECK(x.dim(2) > 1 && height > 1, "total_variation of {}: two rows and columns are wanted",
            to_string(x.shape()));
  const auto differences = [&](int64_t rows, int64_t channels, int64_t step) {
    const Tensor flat = reshape(x, {1, 1, rows, channels});
    const int count = int(channels - step);
    return pixel_loss(slice_channels(flat, int(step), count), slice_channels(flat, 0, count), kind, scale)
        .loss;
  };
  return add(differences(n * height, row, x.dim(3)), differences(n, height * row, row));
}

// ------------------------------------------------------------------------------------------------- filters

Tensor guided_filter(const Tensor& pictures, const Tensor& guides, int radius, double eps) {
  check_same_shape("guided_filter", pictures, guides);
  const Tensor x = wide(pictures), guide = wide(guides);
  GAN_CHECK(eps > 0, "guided_filter with eps {}; it must be above 0", eps);
  const Tensor mean_x = box_blur(x, radius), mean_guide = box_blur(guide, radius);
  const auto covariance = [&](const Tensor& a, const Tensor& b, const Tensor& mean_a, const Tensor& mean_b) {
    return subtract(box_blur(multiply(a, b), radius), multiply(mean_a, mean_b));
  };
  // Around each pixel x is nearly slope * guide + offset.
  const Tensor variance = covariance(guide, guide, mean_guide, mean_guide);
  const Tensor slope = multiply(covariance(guide, x, mean_guide, mean_x), power(variance, -1, eps));
  const Tensor offset = subtract(mean_x, multiply(slope, mean_guide));
  return add(multiply(box_blur(slope, radius), guide), box_blur(offset, radius));
}

// ------------------------------------------------------------------------------------------------- colours

namespace {

constexpr double kRed = 0.299, kGreen = 0.587, kBlue = 0.114;

// Each pixel's colour times a matrix, one row for each new channel, plus an offset.
Tensor mix_colours(const char* name, const Tensor& pictures, const std::vector<double>& matrix,
                   const std::vector<double>& offset) {
  const Tensor x = wide(pictures);
  GAN_CHECK(x.shape().rank == 4 && x.dim(3) == 3, "{} of {}; wanted (N,H,W,3)", name, to_string(x.shape()));
  DeviceContext& c = x.context();
  const Tensor bias = offset.empty() ? Tensor() : constants(c, {3}, offset);
  return conv2d(x, constants(c, {3, 1, 1, 3}, matrix), bias, {.kernel = 1, .stride = 1, .pad = 0});
}

}  // namespace

Tensor grey(const Tensor& x) {
  return mix_colours("grey", x, {kRed, kGreen, kBlue, kRed, kGreen, kBlue, kRed, kGreen, kBlue}, {});
}

// U and V are B - Y and R - Y, scaled to their ranges. Halves, because x spans 2 where colours span 1.
Tensor to_yuv(const Tensor& x) {
  constexpr double u = 0.436 / (1 - kBlue) / 2, v = 0.615 / (1 - kRed) / 2;
  return mix_colours("to_yuv", x,
                     {kRed / 2, kGreen / 2, kBlue / 2,           // Y
                      -u * kRed, -u * kGreen, u * (1 - kBlue),   // U
                      v * (1 - kRed), -v * kGreen, -v * kBlue},  // V
                     {0.5, 0, 0});
}

namespace {

// The smaller of x and `limit`, and what x is above it.
struct Halves {
  Tensor below, above;
};
Halves at_limit(const Tensor& x, double limit) {
  const Tensor above = activation(affine(x, 1, -limit), {Act::relu});
  return {subtract(x, above), above};
}

}  // namespace

// The formulas of kernels/shared/colour.h. Each of its curves has two parts that meet at a limit: their sum, less what
// both have there.
Tensor lab_to_rgb_by_parts(const Tensor& l, const Tensor& ab) {
  constexpr double lightness = 50.0 / 116, a = 110.0 / 500, b = -110.0 / 200, offset = (50.0 + 16) / 116;
  const Tensor steps =
      mix_colours("lab_to_rgb_by_parts", concat_channels(l, ab),
                  {lightness, a, 0, lightness, 0, 0, lightness, 0, b}, {offset, offset, offset});
  const Tensor curve =
      concat_channels(slice_channels(steps, 0, 2), activation(slice_channels(steps, 2, 1), {Act::relu}));

  constexpr double bend = 0.2068966;
  const Halves t = at_limit(curve, bend);
  const Tensor cubed = power(affine(t.above, 1, bend), 3);  // bend^3 where t is below
  const Tensor xyz = add(cubed, affine(t.below, 1 / 7.787, -16.0 / 116 / 7.787 - bend * bend * bend));

  const Tensor linear = mix_colours("lab_to_rgb_by_parts", xyz,
                                    {3.24048134 * kWhiteX, -1.53715152, -0.49853633 * kWhiteZ,  //
                                     -0.96925495 * kWhiteX, 1.87599, 0.04155593 * kWhiteZ,      //
                                     0.05564664 * kWhiteX, -0.20404134, 1.05731107 * kWhiteZ},
                                    {});
  constexpr double dark = 0.0031308;
  const Halves c = at_limit(linear, dark);
  const Tensor bright = affine(power(c.above, 1 / 2.4, dark), 1.055, -0.055);
  const Tensor srgb = add(bright, affine(activation(c.below, {Act::relu}), 12.92, -12.92 * dark));
  return affine(at_limit(srgb, 1).below, 2, -1);
}

Tensor without_colour(const Tensor& rgb) {
  Tensor no_colour(rgb.context(), {rgb.dim(0), rgb.dim(1), rgb.dim(2), 2});
  no_colour.zero();
  return lab_to_rgb(rgb_to_lab(rgb).l, no_colour);
}

}  // namespace gan
