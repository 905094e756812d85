// The one header that every kernel file (.cu) includes.
//
// nvcc compiles a kernel file into namespace gan::cuda; g++ or clang++ compiles THE SAME file into gan::simt,
// where kernels/simt/simt.h emulates the GPU on CPU threads (barriers, shuffles, shared memory; see
// kernels/simt/README.md). A kernel file writes `namespace gan::GAN_GPU { ... }` and uses CUDA's own names,
// with three exceptions so that both builds can see what happens: `launch(...)` instead of <<<>>>,
// SHARED_ARRAY / DYNAMIC_SHARED instead of __shared__, and wrappers from this header instead of inline
// assembly.
//
// Sections: 1 which world, 2 shared memory (nvcc), 3 launch, 4 helpers for kernels. The wrappers of single
// instructions (asynchronous copies, tensor cores, named barriers) are in ptx.cuh.
#pragma once
#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <tuple>
#include <type_traits>

#include "kernels/contract/check.h"
#include "kernels/contract/gpu_fault.h"
#include "kernels/contract/variant.h"
#include "kernels/shared/bf16.h"

// ---- 1 Which world ------------------------------------------------------------------------------------

#if defined(__CUDACC__)
#include <cuda.h>  // types alone: the driver is not linked
#include <cuda_runtime.h>

#include <cstdio>
#define GAN_GPU cuda
namespace gan::cuda {
using StreamHandle = cudaStream_t;
}
#else
#include "kernels/simt/simt.h"
#define GAN_GPU simt
#endif

#include "kernels/gpu/ptx.cuh"

// ---- 2 Shared memory ----------------------------------------------------------------------------------
// SHARED_ARRAY(float, tile, [16][33]);   one array per block, size known at compile time; <= 48 KB together.
// DYNAMIC_SHARED(float, buffer);         a pointer to the bytes asked for in launch(), aligned to 1024 bytes.
// Neither is initialised (the emulation fills both with NaN). Every array is aligned for float4.

#if defined(__CUDACC__)
#define SHARED_ARRAY(T, name, ...) __shared__ __align__(16) T name __VA_ARGS__
#define DYNAMIC_SHARED(T, name)                                          \
  extern __shared__ __align__(1024) unsigned char gan_dynamic_shared_[]; \
  T* name = reinterpret_cast<T*>(gan_dynamic_shared_)
#endif

namespace gan::GAN_GPU {

// ---- 3 Launch -----------------------------------------------------------------------------------------

// The most shared memory that a block can have on any GPU we build for (compute capability 9.0).
inline constexpr size_t max_shared_bytes = 227 * 1024;

// Why no GPU would start this launch, or an empty string.
inline std::string launch_problem(dim3 grid, dim3 block, size_t dynamic_shared_bytes) {
  const uint64_t threads = uint64_t{block.x} * block.y * block.z;
  if (threads == 0 || block.x > 1024 || block.y > 1024 || block.z > 64 || threads > 1024)
    return fmt::format("a block of ({},{},{}) threads: 1 to 1024 threads are possible, z at most 64", block.x,
                       block.y, block.z);
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535)
    return fmt::format("a grid of ({},{},{}) blocks: x may be 1 to 2147483647, y and z 1 to 65535", grid.x,
                       grid.y, grid.z);
  if (dynamic_shared_bytes > max_shared_bytes)
    return fmt::format("{} bytes of dynamic shared memory: a block has at most {}", dynamic_shared_bytes,
                       max_shared_bytes);
  return {};
}

// A grid together with the source line of the launch() call that was given it. Converting implicitly is what
// lets launch() know its caller's line although it takes any number of kernel arguments.
struct GridAt {
  dim3 grid;
  const char* file;
  int line;

  template <class G>
  requires std::is_convertible_v<G, dim3> GridAt(G grid_size, const char* caller_file = __builtin_FILE(),
                                                 int caller_line = __builtin_LINE())
      : grid(grid_size), file(caller_file), line(caller_line) {}
};

#if defined(__CUDACC__)
// Whether it is what a kernel did while it ran, which any later call may report.
inline bool is_fault_of_kernel(cudaError_t status) {
  switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidPc:
    case cudaErrorHardwareStackError:
    case cudaErrorAssert:
    case cudaErrorLaunchTimeout:
    case cudaErrorLaunchFailure: return true;
    default: return false;
  }
}
#endif

// Starts kernel(args...) on grid x block threads with that many bytes of dynamic shared memory.
// Throws gan::Error, naming the calling line, when the sizes are impossible or the GPU refuses the launch. On
// simt, for a stream without a queue, the kernel has finished on return, and what the kernel itself did wrong is
// thrown here too (gan::simt::Error).
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), GridAt at, dim3 block, size_t dynamic_shared_bytes,
            StreamHandle stream, Arguments&&... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments),
                "as many arguments as the kernel has parameters");
  if (const std::string problem = launch_problem(at.grid, block, dynamic_shared_bytes); !problem.empty())
    fail(Exit::failure, "{}:{}: impossible kernel launch with {}", at.file, at.line, problem);
#if defined(__CUDACC__)
  cudaError_t status = cudaSuccess;
  if (dynamic_shared_bytes > 48 * 1024)  // beyond this every kernel has to opt in
    status = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                  cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(dynamic_shared_bytes));
  if (status == cudaSuccess) {
    kernel<<<at.grid, block, dynamic_shared_bytes, stream>>>(static_cast<Parameters>(arguments)...);
    status = cudaGetLastError();
  }
  if (status != cudaSuccess)
    fail(status == cudaErrorMemoryAllocation ? Exit::out_of_memory : Exit::failure, "{}",
         gpu_fault(
             fmt::format(
                 "{}:{}: kernel launch (grid {},{},{}; block {},{},{}; {} bytes of dynamic shared memory)",
                 at.file, at.line, at.grid.x, at.grid.y, at.grid.z, block.x, block.y, block.z,
                 dynamic_shared_bytes),
             cudaGetErrorString(status), is_fault_of_kernel(status), launches_block()));
#else
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> parameters;
  };
  const runtime::LaunchShape shape{at.grid, block, dynamic_shared_bytes, {at.file, at.line}};
  auto run = [shape, call = Call{kernel, {static_cast<Parameters>(arguments)...}}]() mutable {
    runtime::run_grid(shape, &call, [](void* opaque) {
      Call& c = *static_cast<Call*>(opaque);
      std::apply(c.kernel, c.parameters);
    });
  };
  if (stream) runtime::queue_work(stream, run);
  else run();
#endif
}

// ---- 4 Helpers for kernels ----------------------------------------------------------------------------

// The queue to launch into, from the engine's untyped one.
inline StreamHandle handle_of(const Stream& stream) { return static_cast<StreamHandle>(stream.handle); }

// How many pieces of size b cover a. For a >= 0, b > 0.
template <class A, class B>
__host__ __device__ constexpr std::common_type_t<A, B> ceil_div(A a, B b) {
  using C = std::common_type_t<A, B>;
  return (static_cast<C>(a) + static_cast<C>(b) - 1) / static_cast<C>(b);
}

// The sum over the 32 lanes of a warp, or over each aligned group of `lanes` (a power of two), in every lane.
// All 32 lanes must call it together. The tree is fixed and the same from each lane's point of view (addition
// commutes), so all lanes get the same bits on every run.
template <int lanes = 32, class T>
__device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
  for (int offset = lanes / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

// The largest value, likewise.
template <int lanes = 32>
__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int offset = lanes / 2; offset > 0; offset /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, offset));
  return value;
}

// This thread's place in its block, 0 .. threads-1, x fastest.
__device__ __forceinline__ int thread_rank() {
  return static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
}

// The sum over all threads of the block, in every thread. The block's size must be a multiple of 32 and every
// thread must take part. scratch: at least 32 shared floats; it may be reused at once for the next block_sum
// or block_max, but other use of it needs a __syncthreads() in between.
__device__ __forceinline__ float block_sum(float value, float* scratch) {
  const int thread = thread_rank(), lane = thread % 32, warp = thread / 32;
  const int warps = static_cast<int>(blockDim.x * blockDim.y * blockDim.z) / 32;
  value = warp_sum(value);
  __syncthreads();  // the previous user may still be reading scratch
  if (lane == 0) scratch[warp] = value;
  __syncthreads();
  return warp_sum(lane < warps ? scratch[lane] : 0.0f);
}

// The largest value of all threads of the block, in every thread; same rules as block_sum.
__device__ __forceinline__ float block_max(float value, float* scratch) {
  const int thread = thread_rank(), lane = thread % 32, warp = thread / 32;
  const int warps = static_cast<int>(blockDim.x * blockDim.y * blockDim.z) / 32;
  value = warp_max(value);
  __syncthreads();
  if (lane == 0) scratch[warp] = value;
  __syncthreads();
  return warp_max(scratch[lane < warps ? lane : 0]);
}

}  // namespace gan::GAN_GPU
