// The numbers, and two divisions.
#include "engine/run/gpu_model.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "engine/settings/words.h"

namespace gan {

namespace {

constexpr GpuModel kGpus[] = {
    {"h200", "seen on one", 60e12, 400e12, 790e12, 4.3e12},
    {"h100", "data sheet, SXM", 67e12, 494.5e12, 989e12, 3.35e12},
    {"a100", "data sheet, SXM 80 GB", 19.5e12, 156e12, 312e12, 2.039e12},
    {"rtx4090", "data sheet, float32 sums", 82.6e12, 82.6e12, 165.2e12, 1.008e12},
};

double arithmetic_rate(const PlannedLaunch& launch, const GpuModel& gpu) {
  if (launch.type == DType::bf16) return gpu.bf16;
  return std::string_view(launch.variant).find("tf32") != std::string_view::npos ? gpu.tf32 : gpu.f32;
}

}  // namespace

std::span<const GpuModel> known_gpus() { return kGpus; }

const GpuModel& find_gpu(const std::string& name) {
  std::string names;
  for (const GpuModel& gpu : kGpus) {
    if (name == gpu.name) return gpu;
    names += (names.empty() ? "" : ", ") + std::string(gpu.name);
  }
  fail(Exit::usage, "--gpu {}: numbers are known of {}", name, names);
}

double floor_seconds(const PlannedLaunch& launch, const GpuModel& gpu) {
  return std::max(launch.flop / arithmetic_rate(launch, gpu), launch.bytes / gpu.bytes_per_s);
}

double modelled_seconds(const PlannedLaunch& launch, const GpuModel& gpu) {
  return std::max(launch.flop / (kArithmeticShare * arithmetic_rate(launch, gpu)),
                  launch.bytes / (kMemoryShare * gpu.bytes_per_s)) +
         kNodeSeconds * double(launch.kernels.size());
}

}  // namespace gan
