// The order in which queues of device simt run, for one scope.
#pragma once
#include "kernels/simt/queues.h"

namespace gan::tests {

class InOrder {
 public:
  explicit InOrder(simt::QueueOrder order) : before_(simt::queue_order()) { simt::queue_order() = order; }
  ~InOrder() { simt::queue_order() = before_; }
  InOrder(const InOrder&) = delete;

 private:
  simt::QueueOrder before_;
};

}  // namespace gan::tests
