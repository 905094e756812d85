// Queues of device simt, which stand for the streams of a GPU: what one is asked is done later, when the host waits for
// it, and of two queues in as bad an order as the rules allow. And graphs: work that a queue has kept instead.
//
// A Stream without a handle has no queue: its work is done at once, which is how everything runs that looks at kernels
// alone. DeviceContext::Mode::queued gives it one, so that a missing order between two queues, memory that is used
// again too early and an argument that a graph remembers show as wrong values on a machine without a GPU.
//
// Queues belong to one thread of the host.
#pragma once
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "kernels/kernels.h"

namespace gan::simt {

// What the others do while the host waits for one queue.
enum class QueueOrder {
  late,   // nothing but what this one waits for
  early,  // all that they can, before it begins
};
QueueOrder& queue_order();  // late; tests run both

namespace runtime {

using Work = std::function<void()>;

class Queue {
 public:
  Queue();
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  void add(Work work);                // into the graph while one is captured
  void wait_for(Queue& other);        // for all that it has been asked up to here
  void finish();                      // does what is left, and throws what a kernel did wrong
  static void finish_all() noexcept;  // what then goes wrong is thrown by the next finish()

  void begin_capture();
  std::vector<Work> end_capture();
  // Throws while capturing; `what`: "a copy from the host".
  void refuse_while_capturing(const char* what) const;

 private:
  struct Item {
    Work work;  // empty: waits
    Queue* other = nullptr;
    size_t count = 0;  // that `other` must have done
  };
  void do_until(size_t count);  // this many items in all
  std::deque<Item> items_;
  size_t asked_ = 0, done_ = 0;
  std::unique_ptr<std::vector<Work>> captured_;  // null: nothing is captured
};

}  // namespace runtime
}  // namespace gan::simt
