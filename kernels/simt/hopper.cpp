// What compute capability 9.0 adds to an engine: mbarriers, tensor copies (TMA), products of a warpgroup (wgmma).
//
// Each of them may happen late, and here it happens as late as the PTX documentation allows. A tensor copy
// lands when no thread of the block can go on without it (in random schedules sometimes at once). A product
// reads its operands when it is waited for, and until then the registers of its sums hold NaN. So what
// forgets to wait computes something else.
#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

#include "kernels/simt/engine.h"

namespace gan::simt::runtime {
namespace {

constexpr uint32_t unfinished = 0xffffffffu;  // in registers: NaN

bool are_same(Site a, Site b) {
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}
bool are_same(const WarpgroupProduct& x, const WarpgroupProduct& y) {
  return x.a == y.a && x.b == y.b && x.n == y.n && x.accumulate == y.accumulate &&
         x.a_transposed == y.a_transposed && x.b_transposed == y.b_transposed;
}

// The swizzle of 128 bytes: the 16-byte vectors of a row of 128 bytes are permuted by the row's number.
size_t swizzled(size_t offset) { return offset ^ ((offset >> 7 & 7) << 4); }

// A shared-memory descriptor (PTX: "Matrix Descriptor Format"), with the swizzle of 128 bytes.
struct Descriptor {
  size_t start, leading, stride;  // bytes
  uint64_t other;                 // what must be: swizzle mode 1, base offset 0, unused bits 0

  explicit Descriptor(uint64_t bits)
      : start((bits & 0x3fff) << 4),
        leading((bits >> 16 & 0x3fff) << 4),
        stride((bits >> 32 & 0x3fff) << 4),
        other(bits & ~uint64_t{0x00003fff3fff3fff}) {}
  bool is_known() const { return other == uint64_t{1} << 62; }

  // Where 8 neighbours lie: k's 8 half to 8 half + 7 of a line, when a line's k's are neighbours; else lines
  // 8 group to 8 group + 7 of one k.
  size_t along_k(int line, int half) const {
    const auto row = static_cast<size_t>(line), vector = static_cast<size_t>(half);
    return swizzled(start + row / 8 * stride + row % 8 * 128 + vector * 16);
  }
  size_t along_lines(int group, int k) const {
    const auto vector = static_cast<size_t>(group), row = static_cast<size_t>(k);
    return swizzled(start + vector / 8 * leading + vector % 8 * 16 + row / 8 * stride + row % 8 * 128);
  }
  void list(std::vector<size_t>& offsets, int first_line, int lines, bool transposed) const {
    if (transposed) {
      for (int k = 0; k < 16; ++k)
        for (int group = first_line / 8; group < (first_line + lines) / 8; ++group)
          offsets.push_back(along_lines(group, k));
    } else {
      for (int line = first_line; line < first_line + lines; ++line)
        for (int half = 0; half < 2; ++half) offsets.push_back(along_k(line, half));
    }
  }
};

}  // namespace

// ---- A block ------------------------------------------------------------------------------------------

void Engine::begin_hopper() {
  for (CudaThread& t : threads_) {
    t.mbarrier = 0;
    t.registers_fenced = false;
    t.product_groups = 0;
  }
  mbarriers_.clear();
  copies_.clear();
  for (WarpgroupMeeting& meeting : warpgroups_) meeting = {};
  for (int w = 0; w < max_warps; ++w) {
    for (const PendingProduct& pending : products_[w])  // of a block that failed
      for (size_t offset : pending.operands)
        if (offset < arena_bytes) product_reads_[offset / 16].count = 0;
    products_[w].clear();
    sums_[w].clear();
  }
}

void Engine::fail_after_block(const std::string& text) {
  failure_ = Failure::message;
  *fmt::format_to_n(message_, sizeof message_ - 1, "{}", text).out = '\0';
}

// Of a block that has ended.
void Engine::check_hopper() {
  if (!copies_.empty()) {
    const Site site = copies_.front().site;
    return fail_after_block(
        fmt::format("{}:{}: the block ended before this tensor copy had landed: nobody has waited for it",
                    site.file, site.line));
  }
  for (const MBarrier& barrier : mbarriers_)
    if (barrier.bytes != 0)
      return fail_after_block("the block ended while bytes of a phase did not match" + describe(barrier, -1));
}

// Of a thread.
void Engine::check_exit() {
  const std::vector<PendingProduct>& pending = products_[current_ / 32];
  if (!pending.empty())
    fail(
        "{}:{}: a thread has exited before it waited for this wgmma: wgmma_commit() and wgmma_wait() are missing",
        pending.front().site.file, pending.front().site.line);
}

uint32_t Engine::shared_offset(const char* operation, const void* shared) {
  const size_t offset = static_cast<size_t>(static_cast<const char*>(shared) - arena_);
  if (offset >= arena_bytes) fail("{} of an address that is not in shared memory", operation);
  return static_cast<uint32_t>(offset);
}

// ---- mbarriers ----------------------------------------------------------------------------------------

MBarrier* Engine::find_mbarrier(size_t offset) {
  for (MBarrier& barrier : mbarriers_)
    if (barrier.offset == offset) return &barrier;
  return nullptr;
}

MBarrier& Engine::known_mbarrier(const char* operation, const uint64_t* barrier, Site site) {
  check_shared(operation, barrier, sizeof *barrier, sizeof *barrier, site);
  MBarrier* const known = find_mbarrier(shared_offset(operation, barrier));
  if (!known)
    fail("{}:{}: {} of shared offset {}, where no mbarrier is: mbarrier_init() and a barrier come first",
         site.file, site.line, operation, shared_offset(operation, barrier));
  race_.mbarrier_access(barrier, false, site);
  return *known;
}

void Engine::mbarrier_init(uint64_t* barrier, int arrivals, Site site) {
  constexpr const char* operation = "mbarrier_init";
  check_shared(operation, barrier, sizeof *barrier, sizeof *barrier, site);
  const size_t offset = shared_offset(operation, barrier);
  if (const MBarrier* known = find_mbarrier(offset))
    fail("{}:{}: {} of shared offset {}, where the mbarrier of {}:{} is", site.file, site.line, operation,
         offset, known->site.file, known->site.line);
  if (arrivals < 1 || arrivals >= 1 << 20)
    fail("{}:{}: {} for {} arrivals: 1 to {} are possible", site.file, site.line, operation, arrivals,
         (1 << 20) - 1);
  race_.mbarrier_access(barrier, true, site);
  mbarriers_.push_back({offset, arrivals, arrivals, 0, 0, current_, false, site, {}, {}, {}});
}

void Engine::mbarrier_init_fence() {
  for (MBarrier& barrier : mbarriers_) barrier.visible |= barrier.initialiser == current_;
}

void Engine::mbarrier_arrive(const char* operation, uint64_t* barrier, int expected_bytes, Site site) {
  watch_.barrier(operation, site);
  MBarrier& b = known_mbarrier(operation, barrier, site);
  if (expected_bytes < -1 || expected_bytes >= 1 << 20)
    fail("{}:{}: {} expects {} bytes: 0 to {} are possible", site.file, site.line, operation, expected_bytes,
         (1 << 20) - 1);
  if (b.missing == 0)
    fail("{}:{}: {}: more arrivals than the {} that mbarrier_init() at {}:{} was told, in phase {}",
         site.file, site.line, operation, b.expected, b.site.file, b.site.line, b.phase);
  if (expected_bytes > 0) b.bytes += expected_bytes;
  --b.missing;
  race_.arrive(b.arriving);
  complete_phase(b);
  yield();
}

void Engine::complete_phase(MBarrier& b) {
  if (b.missing > 0 || b.bytes != 0) return;
  ++b.phase;
  b.missing = b.expected;
  b.passed = std::exchange(b.arriving, {});
  for (int w = 0; w < warps_; ++w) {
    const uint32_t lanes = std::exchange(b.waiting[w], 0);
    race_.pass(w, lanes, b.passed);
    wake(w, lanes);
  }
}

void Engine::mbarrier_wait(uint64_t* barrier, int parity, Site site) {
  constexpr const char* operation = "mbarrier_wait";
  watch_.barrier(operation, site);
  MBarrier& b = known_mbarrier(operation, barrier, site);
  if (parity != 0 && parity != 1)
    fail("{}:{}: {} for a phase of parity {}: it is 0 or 1", site.file, site.line, operation, parity);
  if ((b.phase & 1) != static_cast<uint64_t>(parity))
    return race_.pass(current_ / 32, 1u << lane(), b.passed);
  b.waiting[current_ / 32] |= 1u << lane();
  CudaThread& me = threads_[static_cast<size_t>(current_)];
  me.mbarrier = b.offset;
  me.parity = parity;
  wait(operation, site, 0);
  me.mbarrier = 0;
}

// For reports. parity: of the phase that is waited for; -1: nobody waits.
std::string Engine::describe(const MBarrier& b, int parity) const {
  std::string text = fmt::format("; the mbarrier at shared offset {}, initialised at {}:{}, is in phase {}",
                                 b.offset, b.site.file, b.site.line, b.phase);
  if (parity >= 0) text += fmt::format(" while they wait for the end of one of parity {}", parity);
  text += fmt::format(": {} of {} arrivals have come", b.expected - b.missing, b.expected);
  if (b.bytes > 0) text += fmt::format(", {} bytes that were expected have not", b.bytes);
  if (b.bytes < 0) text += fmt::format(", and {} bytes that nobody expected", -b.bytes);
  return text;
}

// ---- Tensor copies ------------------------------------------------------------------------------------

TensorMap encode_tensor_map(const void* data, int64_t rows, int64_t columns, int box_rows) {
  const TensorMap map{
      data, static_cast<uint64_t>(columns), static_cast<uint64_t>(rows), static_cast<uint64_t>(columns) * 2,
      64,   static_cast<uint32_t>(box_rows)};
  const char* wrong = nullptr;
  if (reinterpret_cast<uintptr_t>(data) % 16 != 0) wrong = "the matrix must start at a multiple of 16 bytes";
  else if (rows < 1 || columns < 1 || rows > UINT32_MAX || columns > UINT32_MAX)
    wrong = "rows and columns may be 1 to 2^32 - 1";
  else if (map.row_bytes % 16 != 0) wrong = "a row must have a multiple of 16 bytes";
  else if (box_rows < 1 || box_rows > 256) wrong = "a box may have 1 to 256 rows";
  if (wrong)
    throw Error(
        fmt::format("a tensor map of {} x {}, in boxes of {} x 64: {}", rows, columns, box_rows, wrong));
  return map;
}

void Engine::check_not_read(const char* operation, const void* shared, size_t bytes, Site site) {
  if (product_reads_.empty()) return;
  const size_t offset = shared_offset(operation, shared);
  for (size_t unit = offset / 16; unit <= (offset + bytes - 1) / 16; ++unit)
    if (product_reads_[unit].count > 0)
      fail(
          "{}:{}: {} to shared memory at offset {}, which the wgmma of {}:{} still reads: its wgmma_wait() comes first",
          site.file, site.line, operation, unit * 16, product_reads_[unit].site.file,
          product_reads_[unit].site.line);
}

void Engine::tensor_copy(void* shared, const TensorMap& map, int column, int row, uint64_t* barrier,
                         Site site) {
  constexpr const char* operation = "tensor_copy";
  constexpr size_t row_bytes = 128;  // of a box
  const size_t bytes = row_bytes * map.box_rows;
  watch_.warp_operation(operation, site);
  check_shared(operation, shared, bytes, 1024, site);
  const MBarrier& b = known_mbarrier(operation, barrier, site);
  if (!b.visible)
    fail(
        "{}:{}: {} reports to the mbarrier of {}:{}, of whose initialisation no mbarrier_init_fence() has told the "
        "asynchronous units",
        site.file, site.line, operation, b.site.file, b.site.line);
  check_not_read(operation, shared, bytes, site);

  TensorCopy copy{static_cast<char*>(shared), std::vector<char>(bytes), b.offset, current_, 0, site};
  const int64_t first = std::clamp<int64_t>(-int64_t{column}, 0, map.box_columns);
  const int64_t last =
      std::clamp<int64_t>(static_cast<int64_t>(map.columns) - column, first, map.box_columns);
  for (uint32_t r = 0; r < map.box_rows; ++r) {
    char line[row_bytes] = {};  // zeros outside of the matrix
    const int64_t source_row = int64_t{row} + r;
    if (source_row >= 0 && source_row < static_cast<int64_t>(map.rows) && first < last) {
      const char* const source = static_cast<const char*>(map.data) +
                                 static_cast<uint64_t>(source_row) * map.row_bytes + (column + first) * 2;
      race_.read(source, static_cast<size_t>(last - first) * 2, site);
      watch_.tensor_row(source, static_cast<size_t>(last - first) * 2, site);
      std::memcpy(line + first * 2, source, static_cast<size_t>(last - first) * 2);
    }
    for (uint32_t v = 0; v < 8; ++v)
      std::memcpy(copy.data.data() + swizzled(r * row_bytes + v * 16), line + v * 16, 16);
  }
  copy.clock = race_.unit_copy_started(shared, bytes, site);
  std::memset(shared, 0xff, bytes);
  if (style_ != Style::in_order && (random() >> 20 & 1)) land(copy);
  else copies_.push_back(std::move(copy));
}

void Engine::land(const TensorCopy& copy) {
  MBarrier& barrier = *find_mbarrier(copy.barrier);
  std::memcpy(copy.to, copy.data.data(), copy.data.size());
  race_.unit_copy_landed(copy.to, copy.data.size(), copy.site, copy.thread, copy.clock, barrier.arriving);
  barrier.bytes -= static_cast<int64_t>(copy.data.size());
  complete_phase(barrier);
}

// No thread can go on: lets one copy land, which may change that. False: there is none.
bool Engine::land_copy() {
  if (copies_.empty()) return false;
  size_t which = 0;
  if (launch_->config.schedule == Schedule::reverse) which = copies_.size() - 1;
  if (launch_->config.schedule == Schedule::random) which = (random() >> 20) % copies_.size();
  const TensorCopy copy = std::move(copies_[which]);
  copies_.erase(copies_.begin() + static_cast<ptrdiff_t>(which));
  land(copy);
  return true;
}

// ---- Products of a warpgroup --------------------------------------------------------------------------

void Engine::warpgroup_product(float* d, const WarpgroupProduct& product, Site site) {
  constexpr const char* operation = "wgmma";
  watch_.warp_operation(operation, site);
  const int group = current_ / 128, member = current_ % 128;
  if (group * 128 + 128 > launch_->threads)
    fail("{}:{}: {} by a warpgroup that is not whole: the block has {} threads", site.file, site.line,
         operation, launch_->threads);
  WarpgroupMeeting& m = warpgroups_[group];
  if (m.arrived == 0) {
    m.site = site;
    m.product = product;
  } else if (!are_same(m.site, site)) {
    fail("{}:{}: divergent {}: this thread is here while {} of its warpgroup are in {}:{}", site.file,
         site.line, operation, m.arrived, m.site.file, m.site.line);
  } else if (!are_same(m.product, product)) {
    fail(
        "{}:{}: {}: the threads of the warpgroup have different operands: a {:#x} b {:#x} here, a {:#x} b {:#x} "
        "before",
        site.file, site.line, operation, product.a, product.b, m.product.a, m.product.b);
  }
  m.registers[member] = d;
  if (++m.arrived < 128) {
    m.waiting[member / 32] |= 1u << lane();
    return wait(operation, site, 0);
  }
  issue_product(group);
  m.arrived = 0;
  const bool go_straight_on = style_ == Style::in_order;
  for (int w = 0; w < 4; ++w) wake(group * 4 + w, std::exchange(m.waiting[w], 0));
  if (go_straight_on) return;
  wake(current_ / 32, 1u << lane());
  wait(operation, site, 0);
}

// All threads of the warpgroup have come.
void Engine::issue_product(int group) {
  const WarpgroupMeeting& m = warpgroups_[group];
  const WarpgroupProduct& product = m.product;
  const Site site = m.site;
  const Descriptor a(product.a), b(product.b);
  for (const auto& [which, descriptor, bits] : {std::tuple("a", a, product.a), std::tuple("b", b, product.b)})
    if (!descriptor.is_known())
      fail(
          "{}:{}: wgmma: the descriptor {:#x} of {} has another swizzle than that of 128 bytes, a base offset, or bits "
          "that mean nothing",
          site.file, site.line, bits, which);
  if (product_reads_.empty()) product_reads_.resize(arena_bytes / 16);

  for (int w = 0; w < 4; ++w) {
    const int warp = group * 4 + w, first_thread = warp * 32;
    float* const* const registers = m.registers + w * 32;
    const CudaThread* const lanes = &threads_[static_cast<size_t>(first_thread)];
    for (int i = 1; i < 32; ++i)
      if (lanes[i].product_groups != lanes[0].product_groups)
        fail("{}:{}: wgmma: the lanes of a warp have called wgmma_commit() differently often", site.file,
             site.line);

    std::vector<WarpgroupSums>& all = sums_[warp];
    auto sums = std::find_if(all.begin(), all.end(), [&](const WarpgroupSums& s) {
      return s.n == product.n && std::equal(registers, registers + 32, s.registers);
    });
    if (sums == all.end()) {
      for (int i = 0; i < 32; ++i)
        if (!lanes[i].registers_fenced)
          fail(
              "{}:{}: wgmma: its registers may have been touched since the last wgmma_fence(): one comes first",
              site.file, site.line);
      const auto values = static_cast<size_t>(product.n / 2);
      all.push_back({{}, product.n, 0, std::vector<float>(32 * values)});
      sums = all.end() - 1;
      for (size_t i = 0; i < 32; ++i) {
        sums->registers[i] = registers[i];
        if (product.accumulate) std::memcpy(&sums->value[i * values], registers[i], values * sizeof(float));
        std::memset(static_cast<void*>(registers[i]), 0xff, values * sizeof(float));
      }
    }
    ++sums->products;

    products_[warp].push_back({product, lanes[0].product_groups, site, registers[0], {}});
    PendingProduct& pending = products_[warp].back();
    a.list(pending.operands, 16 * w, 16, product.a_transposed);
    b.list(pending.operands, 0, product.n, product.b_transposed);
    for (size_t offset : pending.operands) {
      check_shared("wgmma", arena_ + offset, 16, 16, site);
      race_.unit_read_started(first_thread, arena_ + offset, site);
      product_reads_[offset / 16].site = site;
      ++product_reads_[offset / 16].count;
    }
  }
}

void Engine::run_product(int warp, const PendingProduct& pending, WarpgroupSums& sums) {
  const WarpgroupProduct& product = pending.product;
  const int n = product.n;
  uint16_t a[16][16], b[256][16];  // (rows, k), (columns, k)
  const size_t* offset = pending.operands.data();
  const auto fetch = [&](uint16_t(*to)[16], int lines, bool transposed) {
    for (int i = 0; i < lines * 2; ++i, ++offset) {
      uint16_t eight[8];
      std::memcpy(eight, arena_ + *offset, sizeof eight);
      race_.unit_read_ended(warp * 32, arena_ + *offset, pending.site);
      --product_reads_[*offset / 16].count;
      for (int e = 0; e < 8; ++e) {
        if (transposed) to[i % (lines / 8) * 8 + e][i / (lines / 8)] = eight[e];
        else to[i / 2][i % 2 * 8 + e] = eight[e];
      }
    }
  };
  fetch(a, 16, product.a_transposed);
  fetch(b, n, product.b_transposed);
  if (!product.accumulate) std::fill(sums.value.begin(), sums.value.end(), 0.0f);
  add_warpgroup_rows(a, b, sums.value.data(), n);
}

// The whole warp waits.
void Engine::finish_products(int groups_left, Site site) {
  const int warp = current_ / 32;
  CudaThread* const lanes = &threads_[static_cast<size_t>(warp * 32)];
  for (int i = 1; i < 32; ++i)
    if (lanes[i].product_groups != lanes[0].product_groups)
      fail("{}:{}: wgmma_wait: the lanes of a warp have called wgmma_commit() differently often", site.file,
           site.line);
  std::vector<PendingProduct>& pending = products_[warp];
  size_t done = 0;
  for (; done < pending.size(); ++done) {
    const PendingProduct& next = pending[done];
    if (next.group + static_cast<uint64_t>(groups_left) >= lanes[0].product_groups) break;
    std::vector<WarpgroupSums>& all = sums_[warp];
    const auto sums = std::find_if(all.begin(), all.end(), [&](const WarpgroupSums& s) {
      return s.registers[0] == next.sums && s.n == next.product.n;
    });
    run_product(warp, next, *sums);
    if (--sums->products > 0) continue;
    const auto values = static_cast<size_t>(sums->n / 2);
    for (size_t i = 0; i < 32; ++i) {
      for (size_t v = 0; v < values; ++v) {
        uint32_t held;
        std::memcpy(&held, sums->registers[i] + v, sizeof held);
        if (held != unfinished)
          fail("{}:{}: the sums of the wgmma of {}:{} have been written to before wgmma_wait()", site.file,
               site.line, next.site.file, next.site.line);
      }
      std::memcpy(sums->registers[i], &sums->value[i * values], values * sizeof(float));
      lanes[i].registers_fenced = false;
    }
    all.erase(sums);
  }
  pending.erase(pending.begin(), pending.begin() + static_cast<ptrdiff_t>(done));
}

namespace {
struct WaitLane {
  Engine* engine;
  int groups_left;
  Site site;
};
void run_wait(void* const lane_data[32], uint32_t mask) {
  const WaitLane& lane = *static_cast<WaitLane*>(lane_data[__builtin_ctz(mask)]);
  lane.engine->finish_products(lane.groups_left, lane.site);
}
const WarpOperation product_wait{"wgmma_wait", run_wait};
}  // namespace

void Engine::warpgroup_wait(int groups_left, Site site) {
  WaitLane mine{this, groups_left, site};
  rendezvous(product_wait, 0xffffffffu, &mine, site);
}

}  // namespace gan::simt::runtime
