// What a GPU could do with the launches of a step: bounds that no program passes, and a guess with its assumptions.
#pragma once
#include <span>
#include <string>

#include "engine/tensor/planned_launch.h"

namespace gan {

// Rates of dense arithmetic and of memory. Of h200 what was seen on one (copy, large products); of the others what their
// makers' data sheets say.
struct GpuModel {
  const char* name;
  const char* source;
  double f32, tf32, bf16;  // FLOP/s
  double bytes_per_s;
};
std::span<const GpuModel> known_gpus();
// Exit::usage naming those there are.
const GpuModel& find_gpu(const std::string& name);

// The longer of two times: of its FLOP at the rate of what it multiplies, of its bytes once through memory.
double floor_seconds(const PlannedLaunch& launch, const GpuModel& gpu);

// The guess: 85 % of the arithmetic's rate, 88 % of the memory's, and 2 us for each kernel as a node of a CUDA graph, in which
// kernels run one after another. Tiles that do not fill the GPU, and caches, are not in it.
constexpr double kArithmeticShare = 0.85, kMemoryShare = 0.88, kNodeSeconds = 2e-6;
double modelled_seconds(const PlannedLaunch& launch, const GpuModel& gpu);

}  // namespace gan
