// Memory of the GPU, and of the emulated one; streams and graphs.
//
// cuda: the CUDA runtime's calls, each checked; a missing GPU and a full one get exit codes of their own.
// simt: the heap, in blocks of exactly the size asked for, so that an address sanitizer sees every access
// outside. Its queues: kernels/simt/queues.h.
#include <cstdlib>
#include <cstring>

#include "kernels/gpu/family.cuh"
#if defined(__CUDACC__)
#include <nvtx3/nvToolsExt.h>
#else
#include "kernels/simt/queues.h"
#endif

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

// Streams that do not wait for the default one, which cannot be captured.
void* create_queue() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "create a stream");
  return stream;
}
void destroy_queue(void* queue) noexcept {
  cudaStreamSynchronize(static_cast<cudaStream_t>(queue));
  cudaStreamDestroy(static_cast<cudaStream_t>(queue));
}
void order(Stream& before, Stream& after) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "create an event");
  cudaError_t status = cudaEventRecord(event, handle_of(before));
  if (status == cudaSuccess) status = cudaStreamWaitEvent(handle_of(after), event, 0);
  cudaEventDestroy(event);  // once it has happened
  check(status, "order two streams");
}
// Relaxed: a kernel's first use may load it, and memory may be allocated meanwhile.
void begin_capture(Stream& stream) {
  check(cudaStreamBeginCapture(handle_of(stream), cudaStreamCaptureModeRelaxed), "capture a graph");
}
void* end_capture(Stream& stream) {
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(handle_of(stream), &graph), "capture a graph");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "make a graph executable");
  return executable;
}
void run_graph(void* graph, Stream& stream) {
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), handle_of(stream)), "launch a graph");
}
void release_graph(void* graph) noexcept { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }

void* stamp(Stream& stream) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "create an event");
  check(cudaEventRecord(event, handle_of(stream)), "record an event");
  return event;
}
double seconds_between(void* earlier, void* later) {
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(later)), "wait for the GPU");
  float milliseconds = 0;
  check(
      cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(earlier), static_cast<cudaEvent_t>(later)),
      "read an event");
  return double(milliseconds) / 1e3;
}
void release_stamp(void* stamp) noexcept { cudaEventDestroy(static_cast<cudaEvent_t>(stamp)); }
void begin_range(const char* name) { nvtxRangePushA(name); }
void end_range() { nvtxRangePop(); }

#else

void* allocate(size_t bytes) {
  void* address = nullptr;
  if (posix_memalign(&address, alignment, bytes) != 0)  // exact size, which aligned_alloc would not give
    fail(Exit::out_of_memory, "no memory for a buffer of {} bytes", bytes);
  return address;
}
// As a GPU's, it waits for what uses the memory.
void release(void* address) noexcept {
  runtime::Queue::finish_all();
  std::free(address);
}
void move(void* to, const void* from, size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}
// The host may write over its bytes when the call returns.
void upload(void* device, const void* host, size_t bytes, Stream& stream) {
  const StreamHandle queue = handle_of(stream);
  if (!queue) return move(device, host, bytes);
  queue->refuse_while_capturing("a copy from the host");
  const auto* first = static_cast<const std::byte*>(host);
  queue->add(
      [device, staged = std::vector(first, first + bytes)] { move(device, staged.data(), staged.size()); });
}
void synchronize(Stream& stream) {
  if (const StreamHandle queue = handle_of(stream)) queue->finish();
}
void download(void* host, const void* device, size_t bytes, Stream& stream) {
  synchronize(stream);
  move(host, device, bytes);
}
void copy(void* to, const void* from, size_t bytes, Stream& stream) {
  if (const StreamHandle queue = handle_of(stream)) queue->add([=] { move(to, from, bytes); });
  else move(to, from, bytes);
}
void zero(void* to, size_t bytes, Stream& stream) {
  const auto work = [=] {
    if (bytes) std::memset(to, 0, bytes);
  };
  if (const StreamHandle queue = handle_of(stream)) queue->add(work);
  else work();
}
constexpr bool pooled = false;

#endif

}  // namespace

const Memory memory = {allocate, release, upload, download, copy, zero, synchronize, pooled};
#if defined(__CUDACC__)
const Queues queues = {create_queue,  destroy_queue, order,           begin_capture, end_capture, run_graph,
                       release_graph, stamp,         seconds_between, release_stamp, begin_range, end_range};
#endif

}  // namespace gan::GAN_GPU
