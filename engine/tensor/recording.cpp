// Starting, stopping and running a recording.
#include "engine/tensor/recording.h"

#include "engine/tensor/device.h"
#include "engine/tensor/trace.h"
#include "kernels/contract/gpu_fault.h"

namespace gan {

void DeviceContext::start_recording(const Recording* shares_memory) {
  GAN_CHECK(!planning(), "a plan launches nothing that could be recorded");
  GAN_CHECK(!recording_, "a recording is being made already");
  recording_ = std::make_unique<Recording>();
  recording_->context_ = this;
  const auto released = mode_ == Mode::queued ? MemoryPool::Released::again : MemoryPool::Released::kept;
  recording_->memory_ = shares_memory && shares_memory->memory_
                            ? shares_memory->memory_
                            : std::make_shared<MemoryPool>(backend_->memory, false, released);
  recording_->operations_ = operations_;
}

Recording DeviceContext::stop_recording() {
  GAN_CHECK(recording_, "stop_recording() without start_recording()");
  Recording done = std::move(*recording_);
  recording_.reset();
  done.operations_ = operations_ - done.operations_;
  return done;
}

void Recording::run() {
  GAN_CHECK(context_, "nothing was recorded");
  GAN_CHECK(!context_->recording(), "a recording cannot be run while another is made");
  Stream& stream = context_->stream_;
  const bool as_graph = context_->has_queues() && !launches_block();
  // Whoever asked for more scratch memory since then has moved it.
  if (as_graph && (!graph_ || scratch_ != stream.scratch_address)) capture();
  for (Part& part : parts_)
    if (part.is_host || !as_graph) part.run(stream);
  const auto launch = [&] { context_->kernels().queues.run_graph(graph_.get(), stream); };
  if (as_graph && context_->trace) context_->trace->operation("step", "recorded", "", launch);
  else if (as_graph) launch();
  context_->operations_ += operations_;
}

void Recording::capture() {
  Stream& stream = context_->stream_;
  const Queues& queues = context_->kernels().queues;
  graph_.reset();
  queues.begin_capture(stream);
  const auto end = [&] { graph_ = {queues.end_capture(stream), queues.release_graph}; };
  try {
    for (Part& part : parts_)
      if (!part.is_host) part.run(stream);
  } catch (const std::exception&) {
    end();
    graph_.reset();
    throw;
  }
  end();
  scratch_ = stream.scratch_address;
}

void DeviceContext::zero(void* address, size_t bytes) {
  if (planning() && on_launch && bytes > 0)
    on_launch(
        {.op = "zero", .variant = "memset", .sizes = fmt::format("{} bytes", bytes), .bytes = double(bytes)});
  if (planning() || bytes == 0) return;
  const auto zero = backend_->memory.zero;
  zero(address, bytes, stream_);
  if (recording_)
    recording_->parts_.push_back({[zero, address, bytes](Stream& stream) { zero(address, bytes, stream); }});
}

void DeviceContext::refuse_while_recording(const char* what) const {
  if (recording_)
    fail(Exit::failure,
         "{} while a step is recorded: it would not be repeated. Do it before start_recording() or after "
         "stop_recording()",
         what);
}

}  // namespace gan
