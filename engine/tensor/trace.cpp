// Noting spans, and putting them into words.
#include "engine/tensor/trace.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/tensor/device.h"

namespace gan {

Trace::Trace(DeviceContext& context) : context_(context) {
  GAN_CHECK(!context.planning(), "a plan takes no time that could be traced");
  context_.kernels().memory.synchronize(context_.stream());
  if (context_.has_queues()) origin_ = context_.kernels().queues.stamp(context_.stream());
  context_.kernels().memory.synchronize(context_.stream());  // the origin has happened
  start_ = std::chrono::steady_clock::now();
}

Trace::~Trace() {
  if (!context_.has_queues()) return;
  const Queues& queues = context_.kernels().queues;
  queues.release_stamp(origin_);
  for (const Span& span : spans_)
    for (void* stamp : {span.from, span.to})
      if (stamp) queues.release_stamp(stamp);
}

double Trace::now() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

int Trace::track_of(void* queue) {
  const auto found = std::find(queues_.begin(), queues_.end(), queue);
  if (found == queues_.end()) queues_.push_back(queue);
  return 1 + int(std::find(queues_.begin(), queues_.end(), queue) - queues_.begin());
}

void Trace::operation(const std::string& name, const std::string& variant, const std::string& sizes,
                      const std::function<void()>& work) {
  Stream& stream = context_.stream();
  Span span{.name = name, .variant = variant, .sizes = sizes, .track = track_of(stream.handle)};
  const Queues& queues = context_.kernels().queues;
  if (context_.has_queues()) span.from = queues.stamp(stream);
  else span.begin = now();
  work();
  if (context_.has_queues()) span.to = queues.stamp(stream);
  else span.end = now();
  spans_.push_back(std::move(span));
}

void Trace::begin_host(const std::string& name) {
  open_.push_back(spans_.size());
  spans_.push_back({.name = name, .variant = {}, .sizes = {}, .begin = now()});
}

void Trace::end_host() {
  GAN_CHECK(!open_.empty(), "no span of the host is open");
  spans_[open_.back()].end = now();
  open_.pop_back();
}

std::string Trace::json() {
  context_.kernels().memory.synchronize(context_.stream());
  const Queues& queues = context_.kernels().queues;
  using Json = nlohmann::ordered_json;
  Json events = Json::array();
  const auto name_track = [&](int track, const std::string& name) {
    events.push_back(
        {{"name", "thread_name"}, {"ph", "M"}, {"pid", 1}, {"tid", track}, {"args", {{"name", name}}}});
  };
  name_track(0, "host");
  for (size_t i = 0; i < queues_.size(); ++i)
    name_track(int(i) + 1, fmt::format("{}{}", name_of(context_.device()),
                                       i == 0 ? "" : fmt::format(", queue {}", i + 1)));
  for (const Span& span : spans_) {
    const double begin = span.from ? queues.seconds_between(origin_, span.from) : span.begin;
    const double end = span.to ? queues.seconds_between(origin_, span.to) : span.end;
    Json event = {{"name", span.name}, {"cat", span.track == 0 ? "host" : "operation"}, {"ph", "X"},
                  {"ts", begin * 1e6}, {"dur", std::max(0.0, end - begin) * 1e6},       {"pid", 1},
                  {"tid", span.track}};
    if (!span.variant.empty()) event["args"] = {{"variant", span.variant}, {"sizes", span.sizes}};
    events.push_back(std::move(event));
  }
  return Json{{"displayTimeUnit", "ms"}, {"traceEvents", events}}.dump();
}

HostSpan::HostSpan(DeviceContext& context, const char* name) : context_(context), trace_(context.trace) {
  if (trace_) trace_->begin_host(name);
  if (const auto begin = context_.kernels().queues.begin_range) begin(name);
}

HostSpan::~HostSpan() {
  if (const auto end = context_.kernels().queues.end_range) end();
  if (trace_ && trace_ == context_.trace) trace_->end_host();
}

}  // namespace gan
