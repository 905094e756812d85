// Starting, stopping and running a recording.
#include "engine/tensor/recording.h"

#include "engine/tensor/device.h"

namespace gan {

void DeviceContext::start_recording() {
  GAN_CHECK(!planning(), "a plan launches nothing that could be recorded");
  GAN_CHECK(!recording_, "a recording is being made already");
  recording_ = std::make_unique<Recording>();
  recording_->context_ = this;
  recording_->memory_ = std::make_shared<MemoryPool>(backend_->memory, false, true);
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
  for (auto& part : parts_) part(context_->stream_);
  context_->operations_ += operations_;
}

void DeviceContext::zero(void* address, size_t bytes) {
  if (planning() && on_launch && bytes > 0)
    on_launch(
        {.op = "zero", .variant = "memset", .sizes = fmt::format("{} bytes", bytes), .bytes = double(bytes)});
  if (planning() || bytes == 0) return;
  const auto zero = backend_->memory.zero;
  zero(address, bytes, stream_);
  if (recording_)
    recording_->parts_.push_back([zero, address, bytes](Stream& stream) { zero(address, bytes, stream); });
}

void DeviceContext::refuse_while_recording(const char* what) const {
  if (recording_)
    fail(Exit::failure,
         "{} while a step is recorded: it would not be repeated. Do it before start_recording() or after "
         "stop_recording()",
         what);
}

}  // namespace gan
