// A recording: what a DeviceContext launched between start_recording() and stop_recording(), to be run again.
//
// run() launches the same variants with the same arguments on the same addresses, in the same order, so a
// step that was recorded is a step again: only what it reads may have changed. Where the device has queues, the
// first run() makes one graph of all launches (a CUDA graph), which costs the host one call each time, but not under
// CUDA_LAUNCH_BLOCKING=1, where each launch has to be seen. What changes from step to step
// comes from StepValues; put it there and call begin_step() before run(). Batches are read from where they
// lay: write the next one into the same tensors. The step's scalars are written to where they were, so the
// tensors that the recorded step gave are read again after run().
//
// Memory. What is allocated while recording comes from a pool of its own, which the recording and the tensors
// in it share: blocks are used again within the step as ever, and by nobody else afterwards. A recording
// therefore takes as much memory as a step, beside what steps that are not recorded have taken. Tensors that
// were there before (weights, moments, batches) are not held: whoever records keeps them, and the optimisers
// that step, where they are.
//
// What the host counts beside the launches is repeated too, in its place: versions of weights
// (Tensor::changed) and steps of optimisers; arguments that the host must look up anew, such as a version,
// are looked up anew (DeviceContext::run). To read or write device memory from the host while recording is an
// error: it would not happen again.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/contract/variant.h"

namespace gan {

class DeviceContext;
class MemoryPool;

class Recording {
 public:
  Recording() = default;  // of nothing

  void run();                                         // needs its context, which must not be recording
  int64_t operations() const { return operations_; }  // as DeviceContext counts them
  bool is_graph() const { return graph_ != nullptr; }

 private:
  friend class DeviceContext;
  struct Part {
    std::function<void(Stream&)> run;
    bool is_host = false;  // counts on the host, and launches nothing
  };
  void capture();
  DeviceContext* context_ = nullptr;
  std::shared_ptr<MemoryPool> memory_;
  std::vector<Part> parts_;
  int64_t operations_ = 0;
  std::shared_ptr<void> graph_;    // of the parts that are not the host's
  const void* scratch_ = nullptr;  // Stream::scratch_address that its kernels got
};

}  // namespace gan
