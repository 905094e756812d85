// Which device --device means, and in words why.
#include "engine/tensor/device.h"

#include <charconv>

#ifdef GAN_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

namespace gan {
namespace {

// GPUs that answer. `problem` says why there is none.
int count_gpus(std::string& problem) {
#ifdef GAN_WITH_CUDA
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return count;
  cudaGetLastError();  // reported here: the next launch must not find it again
  int driver = 0;
  if (cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0) problem = "no NVIDIA driver is installed";
  else problem = status == cudaSuccess ? "the driver sees no GPU" : cudaGetErrorString(status);
  return 0;
#else
  problem = "this build has no cuda device";
  return 0;
#endif
}

// Makes GPU `ordinal` the one that all later calls of this thread mean.
void use_gpu(int ordinal) {
#ifdef GAN_WITH_CUDA
  const cudaError_t status = cudaSetDevice(ordinal);
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail(Exit::no_device, "--device cuda:{}: {}; `gan doctor` says more, or use --device cpu", ordinal,
       cudaGetErrorString(status));
#else
  (void)ordinal;
#endif
}

}  // namespace

ChosenDevice choose_device(const std::string& name) {
  if (name == "cpu") return {Device::cpu, 0, ""};
  if (name == "simt") return {Device::simt, 0, ""};
  if (name == "ref") return {Device::ref, 0, ""};
  std::string problem;
  if (name == "auto") {
    if (count_gpus(problem) == 0) return {Device::cpu, 0, problem};
    use_gpu(0);
    return {Device::cuda, 0, "a GPU answers"};
  }
  int ordinal = 0;
  if (name != "cuda") {
    const char *begin = name.data() + 5, *end = name.data() + name.size();
    bool understood = name.starts_with("cuda:");
    if (understood) {
      const auto [stop, error] = std::from_chars(begin, end, ordinal);
      understood = error == std::errc() && stop == end && ordinal >= 0;
    }
    if (!understood)
      fail(Exit::usage, "--device must be auto, cpu, cuda, cuda:N, simt or ref, not \"{}\"", name);
  }
  if (!find_backend(Device::cuda))
    fail(Exit::no_device,
         "--device {}: this build has no cuda device; build again with the CUDA toolkit, or use --device cpu",
         name);
  const int gpus = count_gpus(problem);
  if (gpus == 0)
    fail(Exit::no_device, "--device {}: no GPU answers: {}; `gan doctor` says more, or use --device cpu",
         name, problem);
  if (ordinal >= gpus) fail(Exit::no_device, "--device {}: there are {} GPUs, numbered from 0", name, gpus);
  use_gpu(ordinal);
  return {Device::cuda, ordinal, ""};
}

}  // namespace gan
