// Traces: every operation is a span with its variant on the track of its queue, in the order and at the time it ran.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "engine/tensor/ops.h"
#include "engine/tensor/recording.h"
#include "engine/tensor/trace.h"
#include "tests/cases/run_case.h"

using namespace gan;
using gan::tests::usable;
using nlohmann::json;

namespace {

std::vector<json> spans_of(const json& file, const std::string& name) {
  std::vector<json> spans;
  for (const json& event : file.at("traceEvents"))
    if (event.at("ph") == "X" && event.at("name") == name) spans.push_back(event);
  return spans;
}
double begin_of(const json& span) { return span.at("ts"); }
double end_of(const json& span) { return begin_of(span) + span.at("dur").get<double>(); }

}  // namespace

TEST_CASE("trace: operations with their variants and sizes, one after the other within what the host did") {
  struct Way {
    Device device;
    DeviceContext::Mode mode;
  };
  std::vector<Way> ways;
  for (Device device : usable({Device::cpu, Device::simt, Device::cuda}))
    ways.push_back({device, DeviceContext::Mode::run});
  ways.push_back({Device::simt, DeviceContext::Mode::queued});
  for (const Way& way : ways) {
    CAPTURE(std::string(name_of(way.device)));
    DeviceContext context(way.device, way.mode);
    const bool queued = context.has_queues();
    const Tensor x = constant(context, {4, 8}, 2), y = constant(context, {8, 4}, 3);
    Trace trace(context);
    (void)affine(x, 5);  // before it is listened to
    context.trace = &trace;
    Tensor sums;
    {
      const HostSpan span(context, "step");
      const Tensor product = matmul(x, y);
      sums = affine(product, 2);
      context.kernels().memory.synchronize(context.stream());
    }
    context.fork();
    {
      const DeviceContext::Beside beside(context);
      (void)multiply(x, x);
    }
    context.trace = nullptr;
    (void)affine(x, 5);
    CHECK(sums.host() == std::vector<double>(16, 96.0));

    const json file = json::parse(trace.json());
    CHECK(file.at("traceEvents").size() == trace.spans() + (queued ? 3 : 2));  // and the names of tracks
    const auto steps = spans_of(file, "step"), products = spans_of(file, "gemm"),
               scaled = spans_of(file, "affine"), squares = spans_of(file, "binary");
    REQUIRE(steps.size() == 1);
    REQUIRE(products.size() == 1);
    REQUIRE(scaled.size() == 1);
    REQUIRE(squares.size() == 1);
    CHECK(steps[0].at("tid") == 0);
    CHECK(products[0].at("tid") == 1);
    CHECK(squares[0].at("tid") == (queued ? 2 : 1));
    const std::string sizes = products[0].at("args").at("sizes"),
                      variant = products[0].at("args").at("variant");
    CHECK(sizes.find("m=4") != sizes.npos);
    CHECK(context.kernels().gemm.gemm.find(variant) != nullptr);
    CHECK(products[0].at("dur").get<double>() > 0);
    CHECK(begin_of(steps[0]) <= begin_of(products[0]));
    CHECK(end_of(products[0]) <= begin_of(scaled[0]));
    CHECK(end_of(scaled[0]) <= end_of(steps[0]));
    CHECK(end_of(steps[0]) <= begin_of(squares[0]));
  }
}

TEST_CASE("trace: what a recording runs again is one span where it is a graph") {
  DeviceContext context(Device::simt, DeviceContext::Mode::queued);
  const Tensor x = constant(context, {32}, 2);
  context.start_recording();
  const Tensor y = affine(affine(x, 3), 5);
  Recording recording = context.stop_recording();
  Trace trace(context);
  context.trace = &trace;
  recording.run();
  context.trace = nullptr;
  const json file = json::parse(trace.json());
  CHECK(spans_of(file, "affine").empty());
  REQUIRE(spans_of(file, "step").size() == 1);
  CHECK(spans_of(file, "step")[0].at("args").at("variant") == "recorded");
  CHECK(y.host() == std::vector<double>(32, 30.0));
  CHECK_THROWS_AS(trace.end_host(), Error);
}
