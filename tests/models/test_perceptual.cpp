// Losses of style models (models/losses/perceptual.h): gradients against finite differences, values by their parts, and
// which side collects a gradient.
#include <doctest/doctest.h>

#include <cmath>

#include "models/losses/perceptual.h"
#include "tests/support/gradcheck.h"

using namespace gan;
using namespace gan::tests;

namespace {

Tensor pictures(DeviceContext& context, Shape shape, uint32_t stream) {
  return random_normal(context, shape, 6, stream, 0);
}

// A loss of made pictures (2,3,4,3) and of fixed ones.
Operation against_fixed(const std::function<Tensor(const Tensor& made, const Tensor& fixed)>& loss) {
  return [=](const std::vector<Tensor>& in) {
    return loss(in[0], pictures(in[0].context(), {2, 3, 4, 3}, 3));
  };
}

}  // namespace

TEST_CASE("perceptual losses: gradients, and the same on every device") {
  const Shape shape{2, 3, 4, 3};
  check_gradients("content", against_fixed([](const Tensor& made, const Tensor& fixed) {
                    return content_loss({made, box_blur(made, 1)}, {fixed, fixed}, PixelLossKind::l1, 1.5);
                  }),
                  {shape});
  for (const PixelLossKind kind : {PixelLossKind::l1, PixelLossKind::l2})
    check_gradients("gram", against_fixed([&](const Tensor& made, const Tensor& fixed) {
                      return gram_loss({made}, {fixed}, kind, 10);
                    }),
                    {shape});
  check_gradients("statistics", against_fixed([](const Tensor& made, const Tensor& fixed) {
                    return statistics_loss({made}, {fixed}, 2);
                  }),
                  {shape});
  check_gradients("colour", against_fixed([](const Tensor& made, const Tensor& fixed) {
                    return colour_loss(affine(made, 2), fixed, 3);  // on both sides of Huber's corner
                  }),
                  {shape});
  check_gradients("smoothness", [](const auto& in) { return smoothness_loss(in[0], 3); }, {shape});
}

TEST_CASE("perceptual losses: values by their parts") {
  DeviceContext context(Device::ref);
  const Tensor a = pictures(context, {2, 3, 4, 3}, 1), b = pictures(context, {2, 3, 4, 3}, 2),
               other_size = pictures(context, {2, 6, 2, 3}, 3);
  const auto value = [](const Tensor& loss) { return loss.host()[0]; };
  const auto near = [](double want) { return doctest::Approx(want).epsilon(1e-12).scale(1); };
  const auto distance = [&](const Tensor& x, const Tensor& y, PixelLossKind kind) {
    return value(pixel_loss(x, y, kind).loss);
  };
  for (const PixelLossKind kind : {PixelLossKind::l1, PixelLossKind::l2}) {
    CHECK(value(content_loss({a, b}, {b, a}, kind, 3)) == near(6 * distance(a, b, kind)));
    CHECK(value(gram_loss({a}, {other_size}, kind, 3)) ==
          near(3 * distance(gram(a), gram(other_size), kind)));
  }
  const ChannelStatistics of_a = channel_statistics(a), of_other = channel_statistics(other_size);
  CHECK(value(statistics_loss({a}, {other_size}, 3)) ==
        near(3 * (distance(of_a.mean, of_other.mean, PixelLossKind::l2) +
                  distance(of_a.deviation, of_other.deviation, PixelLossKind::l2))));
  // A brighter picture differs in Y alone: by half of what is added, since x spans twice the range of Y.
  CHECK(value(colour_loss(affine(a, 1, 0.3), a, 3)) == near(3 * 0.15));
  CHECK(value(smoothness_loss(a, 3)) == near(1.5 * value(total_variation(a, PixelLossKind::l2))));
  CHECK_THROWS_WITH_AS(content_loss({a}, {a, b}, PixelLossKind::l1), doctest::Contains("1 features and 2"),
                       Error);
}

TEST_CASE("perceptual losses: what is compared with collects no gradient") {
  DeviceContext context(Device::ref);
  const Shape shape{1, 3, 3, 3};
  const Tensor made = leaf(context, shape, pictures(context, shape, 1).host()),
               wanted = leaf(context, shape, pictures(context, shape, 2).host());
  const Tensor content = content_loss({made}, {wanted}, PixelLossKind::l2),
               style = add(gram_loss({made}, {wanted}, PixelLossKind::l2), statistics_loss({made}, {wanted}));
  context.tape().backward(add(add(content, style), colour_loss(made, wanted)));
  CHECK(made.gradient()->received);
  CHECK_FALSE(wanted.gradient()->received);
}
