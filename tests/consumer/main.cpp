// One operation of the installed library on the cpu: the product of (1,2) and (3,4) with a weight of (2,2),
// then the sum of all four numbers.
#include <fmt/format.h>

#include <vector>

#include "engine/tensor/ops.h"
#include "models/tasks/zoo.h"

int main() {
  gan::DeviceContext context(gan::Device::cpu);
  gan::Tensor x(context, {2, 2}), w(context, {2, 2});
  x.upload(std::vector<float>{1, 2, 3, 4});
  w.upload(std::vector<float>{5, 6, 7, 8});
  const gan::Tensor y = gan::linear(x, w);  // (17 23; 39 53)
  fmt::print("{} models, sum {}\n", gan::zoo().size(), gan::sum(y).host_f32().at(0));
}
