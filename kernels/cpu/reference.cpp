// The row beneath all others on the cpu: the loops of kernels/ref/ref.h in float32. An operation that nobody
// has written for this device runs by it; of the others it is the plain float32 version.
#include <vector>

#include "kernels/cpu/loops.h"
#include "kernels/ref/ref.h"

namespace gan::cpu {
namespace {

template <class Args>
void run_reference(const Args& args, Stream&) {
  ref::compute<float>(args);
}

// The reference's row, then those of the tables; they live as long as the program.
template <class Args>
std::span<const Variant<Args>> with_reference(std::span<const Variant<Args>> faster) {
  static const std::vector<Variant<Args>> rows = [&] {
    std::vector<Variant<Args>> all = {
        {"reference", "f32", "any size, in plain loops", f32_only<Args>, run_reference<Args>}};
    all.insert(all.end(), faster.begin(), faster.end());
    return all;
  }();
  return rows;
}

}  // namespace

void add_reference_rows(Backend& backend) {
  for_each_op(backend,
              []<class Args>(const char*, Op<Args>& op) { op.variants = with_reference(op.variants); });
}

}  // namespace gan::cpu
