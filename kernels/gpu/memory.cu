// Memory of the GPU, and of the emulated one.
//
// cuda: the CUDA runtime's calls, each checked; a missing GPU and a full one get exit codes of their own.
// simt: the heap, in blocks of exactly the size asked for, so that an address sanitizer sees every access
// outside.
#include <cstdlib>
#include <cstring>

#include "kernels/gpu/family.cuh"

namespace gan::GAN_GPU {
namespace {

constexpr size_t alignment = 128;

#if defined(__CUDACC__)

// Throws with the call that failed and what can be done about it.
void check(cudaError_t status, const char* call, size_t bytes = 0) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // an error that is reported here must not be found again by the next launch
  const char* reason = cudaGetErrorString(status);
  switch (status) {
    case cudaErrorMemoryAllocation: {
      size_t available = 0, total = 0;
      if (cudaMemGetInfo(&available, &total) != cudaSuccess) cudaGetLastError();
      fail(Exit::out_of_memory, "{} of {} bytes: {} ({} MB of {} MB are free)", call, bytes, reason,
           available >> 20, total >> 20);
    }
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorInvalidDevice:
    case cudaErrorDevicesUnavailable:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorSystemNotReady:
    case cudaErrorStubLibrary:
    case cudaErrorNoKernelImageForDevice:
      fail(Exit::no_device, "{}: {}; use --device cpu, or look at what `nvidia-smi` says", call, reason);
    default: fail(Exit::failure, "{}", gpu_fault(call, reason, is_fault_of_kernel(status), false));
  }
}

void* allocate(size_t bytes) {
  void* address = nullptr;
  check(cudaMalloc(&address, std::max(bytes, alignment)), "cudaMalloc", bytes);
  return address;
}
void release(void* address) noexcept {
  cudaFree(address);  // fails only when the whole context is lost or the program ends: nothing is left to
                      // free then
}
void upload(void* device, const void* host, size_t bytes, Stream& stream) {
  check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, handle_of(stream)), "copy to the GPU");
}
void synchronize(Stream& stream) { check(cudaStreamSynchronize(handle_of(stream)), "wait for the GPU"); }
void download(void* host, const void* device, size_t bytes, Stream& stream) {
  check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, handle_of(stream)), "copy from the GPU");
  synchronize(stream);
}
void copy(void* to, const void* from, size_t bytes, Stream& stream) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, handle_of(stream)), "copy on the GPU");
}
void zero(void* to, size_t bytes, Stream& stream) {
  check(cudaMemsetAsync(to, 0, bytes, handle_of(stream)), "zero memory of the GPU");
}
constexpr bool pooled = true;

#else

void* allocate(size_t bytes) {
  void* address = nullptr;
  if (posix_memalign(&address, alignment, bytes) != 0)  // exact size, which aligned_alloc would not give
    fail(Exit::out_of_memory, "no memory for a buffer of {} bytes", bytes);
  return address;
}
void release(void* address) noexcept { std::free(address); }
void move(void* to, const void* from, size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}
void upload(void* device, const void* host, size_t bytes, Stream&) { move(device, host, bytes); }
void download(void* host, const void* device, size_t bytes, Stream&) { move(host, device, bytes); }
void copy(void* to, const void* from, size_t bytes, Stream&) { move(to, from, bytes); }
void zero(void* to, size_t bytes, Stream&) {
  if (bytes) std::memset(to, 0, bytes);
}
void synchronize(Stream&) {}
constexpr bool pooled = false;

#endif

}  // namespace

const Memory memory = {allocate, release, upload, download, copy, zero, synchronize, pooled};

}  // namespace gan::GAN_GPU
