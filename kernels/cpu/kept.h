// What convolutions on the cpu take besides the buffers that they are given: weights in a layout of their own, kept as
// long as the weights stay the same, and room to work in. For predictions of memory; nothing is allocated.
#pragma once
#include <cstddef>
#include <map>
#include <tuple>

#include "kernels/kernels.h"

namespace gan::cpu {

// Hears of the convolutions of a planned step, in their order. Addresses of weights may be of a plan.
class KeptByConvolutions {
 public:
  void note(const ConvFwd& args);
  void note(const ConvBwdData& args);
  void note(const ConvBwdWeight& args);
  size_t bytes() const;

 private:
  void note_weights(const Conv2d& size, const void* weights, uint64_t version, bool winograd, int direction);
  struct Copy {
    size_t bytes = 0;
    uint64_t version = 0;
    bool kept = false;
  };
  std::map<std::tuple<const void*, int, bool>, Copy> copies_;  // by weights, direction or tile, Winograd's
  std::map<std::tuple<int, int, int, int, int, int, int>, int>
      primitives_;                  // sizes that oneDNN compiles code for
  size_t scratch_ = 0, arena_ = 0;  // the largest of any convolution
};

}  // namespace gan::cpu
