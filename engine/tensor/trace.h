// A trace: when the device did what, and the host beside it, as a file for chrome://tracing and ui.perfetto.dev.
//
// While a DeviceContext has one, each operation is a span on the track of its queue, with its variant and sizes. Where
// the device has queues the moments are noted there, so a span is the operation's own time, not that of the call. What
// a recording runs again is one span, since nobody calls its operations. Spans of the host are on a track of their own.
// For NVIDIA's profilers, which need no trace, the same names are ranges (NVTX) whenever one of them is attached.
#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace gan {

class DeviceContext;

class Trace {
 public:
  explicit Trace(DeviceContext& context);
  ~Trace();
  Trace(const Trace&) = delete;

  // What `work` asks of the device. sizes: "n=16,h=64,...", or nothing.
  void operation(const std::string& name, const std::string& variant, const std::string& sizes,
                 const std::function<void()>& work);
  // What the host does from here to end_host(); spans may lie in one another.
  void begin_host(const std::string& name);
  void end_host();

  // Waits for the device; all spans so far, in the "Trace Event Format" (JSON).
  std::string json();
  size_t spans() const { return spans_.size(); }

 private:
  struct Span {
    std::string name, variant, sizes;
    int track = 0;                        // 0: the host, then queues in the order of their first use
    double begin = 0, end = 0;            // seconds since the trace began, where the device has no queues
    void *from = nullptr, *to = nullptr;  // else: its moments (Queues::stamp)
  };
  double now() const;
  int track_of(void* queue);
  DeviceContext& context_;
  std::chrono::steady_clock::time_point start_;
  void* origin_ = nullptr;  // the device's moment of start_
  std::vector<Span> spans_;
  std::vector<size_t> open_;  // the host's, innermost last
  std::vector<void*> queues_;
};

// A span of the host for one scope, and a range for NVIDIA's profilers; nothing without a trace and without them.
class HostSpan {
 public:
  HostSpan(DeviceContext& context, const char* name);
  ~HostSpan();
  HostSpan(const HostSpan&) = delete;

 private:
  DeviceContext& context_;
  Trace* trace_;
};

}  // namespace gan
