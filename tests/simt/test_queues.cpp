// Queues of device simt and what the engine does with them: order, graphs, memory. Work that may run in more than one
// order is run in both extremes.
#include <doctest/doctest.h>

#include "engine/tensor/ops.h"
#include "engine/tensor/recording.h"
#include "kernels/simt/queues.h"
#include "kernels/simt/simt.h"
#include "tests/support/queues.h"

using namespace gan;
using simt::QueueOrder;
using simt::runtime::Queue;
using tests::InOrder;

TEST_CASE("simt queues: work is done when the host waits, and of two queues in both orders") {
  for (QueueOrder order : {QueueOrder::late, QueueOrder::early}) {
    const bool late = order == QueueOrder::late;
    const InOrder in_order(order);
    std::vector<int> done;
    const auto note = [&](int number) { return [&done, number] { done.push_back(number); }; };
    Queue first, second;
    first.add(note(1)), second.add(note(2)), first.add(note(3));
    CHECK(done.empty());
    first.finish();
    CHECK(done == (late ? std::vector{1, 3} : std::vector{2, 1, 3}));
    second.finish();
    CHECK(done == (late ? std::vector{1, 3, 2} : std::vector{2, 1, 3}));

    done.clear();
    second.add(note(1));
    first.wait_for(second);
    first.add(note(2)), second.add(note(3));
    first.finish();
    CHECK(done == (late ? std::vector{1, 2} : std::vector{1, 3, 2}));
    second.finish();
    CHECK(done.size() == 3);
  }
}

TEST_CASE("simt queues: a graph is work that is asked for as a whole; what it cannot hold is refused") {
  std::vector<int> done;
  Queue queue, other;
  queue.begin_capture();
  queue.add([&] { done.push_back(1); });
  queue.add([&] { done.push_back(2); });
  CHECK_THROWS_WITH_AS(queue.finish(), doctest::Contains("while a graph is captured"), simt::Error);
  CHECK_THROWS_AS(queue.wait_for(other), simt::Error);
  CHECK_THROWS_AS(other.wait_for(queue), simt::Error);
  CHECK_THROWS_AS(queue.begin_capture(), simt::Error);
  const auto graph = queue.end_capture();
  queue.finish();
  CHECK(done.empty());
  for (const auto& work : graph) queue.add(work);
  queue.finish();
  CHECK(done == std::vector{1, 2});

  // What goes wrong while nobody can be told is told to whoever waits next.
  queue.add([] { throw simt::Error("a kernel's fault"); });
  Queue::finish_all();
  CHECK_THROWS_WITH_AS(other.finish(), doctest::Contains("a kernel's fault"), simt::Error);
  CHECK_NOTHROW(queue.finish());
}

TEST_CASE("simt queues: work beside a step sees what came before the fork, and what comes after it waits") {
  // The same with and without the fork that is owed: without it one of the two orders reads what is not there yet.
  int wrong = 0;
  for (bool forks : {true, false})
    for (QueueOrder order : {QueueOrder::late, QueueOrder::early}) {
      const InOrder in_order(order);
      DeviceContext context(Device::simt, DeviceContext::Mode::queued);
      REQUIRE(context.has_queues());
      CHECK_FALSE(context.memory_is_host());
      const Tensor x = constant(context, {32}, 1), y(context, {32}), z(context, {32});
      y.zero(), z.zero();
      context.fork();
      context.kernels().memory.copy(y.data(), affine(x, 3).data(), y.bytes(), context.stream());
      if (forks) context.fork();
      {
        const DeviceContext::Beside beside(context);
        context.kernels().memory.copy(z.data(), y.data(), y.bytes(), context.stream());
      }
      const bool right = affine(z, 2).host() == std::vector<double>(32, 6.0);
      if (forks) CHECK(right);
      else wrong += !right;
    }
  CHECK(wrong > 0);

  DeviceContext context(Device::simt, DeviceContext::Mode::queued);
  CHECK_THROWS_WITH_AS(DeviceContext::Beside{context}, doctest::Contains("fork()"), Error);
  DeviceContext at_once(Device::cpu);
  at_once.fork();
  const DeviceContext::Beside beside(at_once);  // one order, and nothing to say about it
}

TEST_CASE("simt queues: a recording becomes a graph, and again when its scratch memory has moved") {
  DeviceContext context(Device::simt, DeviceContext::Mode::queued);
  const Tensor x = constant(context, {20000}, 1);
  (void)sum(x).host();
  context.start_recording();
  const Tensor total = sum(x);  // in two launches, by way of scratch memory
  Recording recording = context.stop_recording();
  CHECK(total.host()[0] == 20000);
  CHECK_FALSE(recording.is_graph());
  for (double value : {2.0, 3.0}) {
    x.upload(std::vector<float>(20000, float(value)));
    recording.run();
    CHECK(recording.is_graph());
    CHECK(total.host()[0] == 20000 * value);
  }
  const size_t more = 2 * context.stream().scratch_bytes;
  void* const before = context.stream().scratch_address;
  REQUIRE(context.stream().scratch(more) != before);
  x.upload(std::vector<float>(20000, 5.0f));
  recording.run();
  CHECK(total.host()[0] == 100000);

  // Two recordings in the same memory: each one's tensors hold until the other runs.
  context.start_recording(&recording);
  const Tensor half = affine(sum(x), 0.5);
  Recording other = context.stop_recording();
  recording.run();
  CHECK(total.host()[0] == 100000);
  other.run();
  CHECK(half.host()[0] == 50000);
}
