// Queues, and the device's table of them.
#include "kernels/simt/queues.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "kernels/simt/simt.h"

namespace gan::simt {

QueueOrder& queue_order() {
  static QueueOrder order = QueueOrder::late;
  return order;
}

namespace runtime {
namespace {

std::vector<Queue*>& all_queues() {
  static std::vector<Queue*> queues;
  return queues;
}
std::exception_ptr& failure() {
  static std::exception_ptr first;
  return first;
}

}  // namespace

Queue::Queue() { all_queues().push_back(this); }

Queue::~Queue() {
  finish_all();  // others may wait for this one
  std::erase(all_queues(), this);
}

void Queue::add(Work work) {
  if (captured_) {
    captured_->push_back(std::move(work));
    return;
  }
  items_.push_back({std::move(work)});
  ++asked_;
}

void Queue::wait_for(Queue& other) {
  refuse_while_capturing("an order between queues");
  other.refuse_while_capturing("an order between queues");
  items_.push_back({{}, &other, other.asked_});
  ++asked_;
}

// Recursive where queues wait for one another: each waits for what was asked earlier, so it ends.
void Queue::do_until(size_t count) {
  while (done_ < count) {
    const Item item = std::move(items_.front());
    items_.pop_front();
    if (!item.work) item.other->do_until(item.count);
    ++done_;
    if (item.work) item.work();
  }
}

void Queue::finish() {
  refuse_while_capturing("to wait for the device");
  if (queue_order() == QueueOrder::early)
    for (Queue* other : all_queues())
      if (other != this) other->do_until(other->asked_);
  do_until(asked_);
  if (failure()) std::rethrow_exception(std::exchange(failure(), nullptr));
}

void Queue::finish_all() noexcept {
  for (Queue* queue : all_queues())
    while (!queue->items_.empty()) try {
        queue->do_until(queue->asked_);
      } catch (const std::exception&) {
        if (!failure()) failure() = std::current_exception();
      }
}

void Queue::begin_capture() {
  refuse_while_capturing("another graph");
  captured_ = std::make_unique<std::vector<Work>>();
}

std::vector<Work> Queue::end_capture() {
  GAN_CHECK(captured_, "nothing is captured");
  return std::move(*std::exchange(captured_, nullptr));
}

void Queue::refuse_while_capturing(const char* what) const {
  if (captured_) throw Error(fmt::format("{} while a graph is captured: it cannot be part of one", what));
}

void queue_work(StreamHandle queue, Work work) { queue->add(std::move(work)); }

}  // namespace runtime

namespace {

runtime::Queue& queue_of(Stream& stream) { return *static_cast<runtime::Queue*>(stream.handle); }
using Graph = std::shared_ptr<const std::vector<runtime::Work>>;  // shared with the queues that will run it

void* create() { return new runtime::Queue; }
void destroy(void* queue) noexcept { delete static_cast<runtime::Queue*>(queue); }
void order(Stream& before, Stream& after) { queue_of(after).wait_for(queue_of(before)); }
void begin_capture(Stream& stream) { queue_of(stream).begin_capture(); }
void* end_capture(Stream& stream) {
  return new Graph(std::make_shared<const std::vector<runtime::Work>>(queue_of(stream).end_capture()));
}
void run_graph(void* graph, Stream& stream) {
  queue_of(stream).add([graph = *static_cast<Graph*>(graph)] {
    for (const runtime::Work& work : *graph) work();
  });
}
void release_graph(void* graph) noexcept { delete static_cast<Graph*>(graph); }

struct Stamp {
  runtime::Queue* queue;
  std::shared_ptr<std::chrono::steady_clock::time_point> when;  // the queue sets it
};
void* stamp(Stream& stream) {
  auto* made = new Stamp{&queue_of(stream), std::make_shared<std::chrono::steady_clock::time_point>()};
  made->queue->add([when = made->when] { *when = std::chrono::steady_clock::now(); });
  return made;
}
double seconds_between(void* earlier, void* later) {
  const Stamp &from = *static_cast<Stamp*>(earlier), &to = *static_cast<Stamp*>(later);
  from.queue->finish();
  to.queue->finish();
  return std::chrono::duration<double>(*to.when - *from.when).count();
}
void release_stamp(void* stamp) noexcept { delete static_cast<Stamp*>(stamp); }

}  // namespace

const Queues queues = {create,        destroy, order,           begin_capture, end_capture, run_graph,
                       release_graph, stamp,   seconds_between, release_stamp, nullptr,     nullptr};

}  // namespace gan::simt
