// The rows beneath all others on the cpu.
//
// reference: the loops of kernels/ref/ref.h in float32. An operation that nobody has written for this device runs by it;
// of the others it is the plain float32 version.
// converted: bfloat16 values through float32 copies of them, by the best row for float32. So every operation takes
// bfloat16; those on whose time a training step depends have rows of their own for it.
#include <vector>

#include "kernels/cpu/loops.h"
#include "kernels/cpu/room.h"
#include "kernels/ref/ref.h"

namespace gan::cpu {
namespace {

template <class Args>
void run_reference(const Args& args, Stream&) {
  ref::compute<float>(args);
}

// ------------------------------------------------------------------------------------------- conversions

GAN_TARGET_CLONES
void to_floats(const bf16* from, float* to, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) to[i] = to_float(from[i]);
}
GAN_TARGET_CLONES
void to_bfloat16(const float* from, bf16* to, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) to[i] = to_bf16(from[i]);
}

// The rows of an operation on this device, as add_reference_rows() made them.
template <class Args>
std::vector<Variant<Args>> all_rows;

// The best row for float32 numbers; the reference's fits them all.
template <class Args>
const Variant<Args>& best_row(const Args& args, bool strict) {
  const auto& rows = all_rows<Args>;
  for (size_t i = rows.size(); i-- > 1;)
    if (!(strict && rows[i].error > 1) && !rows[i].fits(args)) return rows[i];
  return rows.front();
}

template <class Args>
void run_converted(const Args& args, Stream& stream) {
  constexpr auto ports = Args::ports();
  Args copy = args;
  // Another address each time: what is kept of weights would not be found again.
  if constexpr (requires { copy.w_version; }) copy.w_version = 0;
  int64_t total = 0;
  std::array<int64_t, ports.size()> first{}, count{};
  for (size_t p = 0; p < ports.size(); ++p) {
    const auto& port = ports[p];
    const DType type = port.in ? (args.*port.in).dtype : (args.*port.out).dtype;
    const bool is_there = port.in ? bool(args.*port.in) : bool(args.*port.out);
    if (port.kind != Kind::value || !is_there || type != DType::bf16) continue;
    first[p] = total;
    count[p] = port.extents(args).count();
    total += (count[p] + 31) / 32 * 32;
  }
  static thread_local Arena arena;
  float* const floats = reinterpret_cast<float*>(arena.get(size_t(total) * sizeof(float), "float32 copies"));
  for (size_t p = 0; p < ports.size(); ++p) {
    if (count[p] == 0) continue;
    const auto& port = ports[p];
    float* to = floats + first[p];
    bool is_read = port.is_read;
    const bf16* from = nullptr;
    if (port.in) {
      from = (args.*port.in).template as<bf16>();
      copy.*port.in = In{to, DType::f32};
    } else {
      const Out& out = args.*port.out;
      from = out.template as<bf16>();
      is_read = is_read || out.acc == Acc::add;
      copy.*port.out = Out{to, DType::f32, out.acc};
    }
    if (is_read)
      parallel_elements(count[p], [&](int64_t begin, int64_t end) { to_floats(from, to, begin, end); });
  }
  best_row(copy, stream.strict).launcher(copy, stream);
  for (size_t p = 0; p < ports.size(); ++p)
    if (ports[p].out && count[p] > 0) {
      bf16* to = (args.*ports[p].out).template as<bf16>();
      parallel_elements(count[p],
                        [&](int64_t begin, int64_t end) { to_bfloat16(floats + first[p], to, begin, end); });
    }
}

template <class Args>
const char* fits_converted(const Args& args) {
  bool any = false;
  for (const Port<Args>& port : Args::ports()) {
    if (port.kind != Kind::value && port.kind != Kind::float32) continue;
    if (port.in ? !(args.*port.in) : !(args.*port.out)) continue;
    const DType type = port.in ? (args.*port.in).dtype : (args.*port.out).dtype;
    if (type == DType::bf16 && port.kind == Kind::value) any = true;
    else if (type != DType::f32) return "numbers must be float32 or bfloat16";
  }
  return any ? nullptr : "there is nothing in bfloat16";
}

template <class Args>
constexpr bool has_values() {
  for (const Port<Args>& port : Args::ports())
    if (port.kind == Kind::value) return true;
  return false;
}

// These two rows, then those of the tables; they live as long as the program.
template <class Args>
std::span<const Variant<Args>> with_reference(std::span<const Variant<Args>> faster) {
  auto& all = all_rows<Args>;
  if (all.empty()) {
    all.push_back({"reference", "f32", "any size, in plain loops", f32_only<Args>, run_reference<Args>});
    if constexpr (has_values<Args>())
      all.push_back({"converted", "bf16", "any size, by way of float32 copies", fits_converted<Args>,
                     run_converted<Args>});
    all.insert(all.end(), faster.begin(), faster.end());
  }
  return all;
}

}  // namespace

void add_reference_rows(Backend& backend) {
  for_each_op(backend,
              []<class Args>(const char*, Op<Args>& op) { op.variants = with_reference(op.variants); });
}

}  // namespace gan::cpu
