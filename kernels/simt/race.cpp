// The race detector: clocks, the memory of accesses, reports. The idea is described in race.h; hooks.h brings
// the accesses. Empty but for the race build.
#include "kernels/simt/race.h"

#if defined(GAN_SIMT_RACE)
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "kernels/simt/hooks.h"

namespace gan::simt::runtime {
namespace {

constexpr size_t page_bytes = 4096;
constexpr size_t most_global_pages = 4096;  // more are forgotten when the next launch begins

__thread RaceDetector* active = nullptr;  // while threads of a block run on this OS thread

// While the detector works it does not look: the standard library's templates that it uses may be copies that
// were instrumented.
struct Quiet {
  const Unwatched saved = unwatched;
  Quiet() { unwatched = all_memory; }
  ~Quiet() { unwatched = saved; }
};

// A place fits 32 bits: an instruction (hooks.h), or, with the highest bit set, the index of a source line
// that the run time was told.
constexpr uint32_t is_site = 0x80000000u;
std::vector<Site>& known_sites() {
  static thread_local std::vector<Site> sites;
  return sites;
}

uint32_t encode(Site site) {
  std::vector<Site>& sites = known_sites();
  static thread_local std::array<uint32_t, 64> last;  // by the end of the line's number: the site met last
  const auto is = [&](size_t i) { return sites[i].line == site.line && sites[i].file == site.file; };
  uint32_t& near = last[static_cast<size_t>(site.line) % last.size()];
  if (near < sites.size() && is(near)) return is_site | near;
  for (size_t i = 0; i < sites.size(); ++i)
    if (is(i)) return is_site | (near = static_cast<uint32_t>(i));
  sites.push_back(site);
  return is_site | static_cast<uint32_t>(sites.size() - 1);
}

// "file:line", with the lines that it was inlined at.
std::string look_up(uint32_t place) {
  if (place & is_site) {
    const Site site = known_sites()[place & ~is_site];
    return fmt::format("{}:{}", site.file, site.line);
  }
  const std::vector<std::string> lines = source_lines({place})[0];
  return lines.empty() ? fmt::format("instruction {:#x}", place)
                       : fmt::format("{}", fmt::join(lines, ", inlined at "));
}

}  // namespace

__thread Unwatched unwatched = all_memory;

inline RaceDetector::Cell& RaceDetector::Page::at(uintptr_t address) {
  return cells[address % page_bytes >> shift];
}

namespace {
struct Range {
  uintptr_t start;
  size_t bytes;
};
std::array<Range, 4> variables() {
  return {Range{reinterpret_cast<uintptr_t>(&threadIdx), sizeof threadIdx},
          {reinterpret_cast<uintptr_t>(&blockIdx), sizeof blockIdx},
          {reinterpret_cast<uintptr_t>(&blockDim), sizeof blockDim},
          {reinterpret_cast<uintptr_t>(&gridDim), sizeof gridDim}};
}
}  // namespace

bool RaceDetector::is_variable(const void* address) {
  for (const Range& variable : variables())
    if (reinterpret_cast<uintptr_t>(address) - variable.start < variable.bytes) return true;
  return false;
}

// ---- Life ---------------------------------------------------------------------------------------------

void RaceDetector::begin_launch(int threads, dim3 block, dim3 grid, const char* shared, size_t shared_bytes) {
  threads_ = static_cast<uint32_t>(threads);
  block_size_ = block;
  grid_ = grid;
  shared_ = reinterpret_cast<uintptr_t>(shared);
  shared_bytes_ = shared_bytes;
  shared_pages_.resize(shared_bytes / page_bytes);
  if (global_pages_.size() > most_global_pages) {
    global_pages_.clear();
    near_ = {};
  }
  launch_generation_ = ++generation_;
  knows_.resize(threads_);
  fenced_.resize(threads_);
}

void RaceDetector::begin_block(uint64_t block) {
  block_ = static_cast<uint32_t>(block);
  ++generation_;  // shared memory of the block before is gone
  count_.assign(threads_, 1);
  found_ = {};
  unit_reads_.assign(shared_bytes_ / 16, {});
  units_reading_ = 0;
  base_.assign(threads_, 0);
  for (Clock& row : knows_) row.clear();
  fenced_base_.assign(threads_, 0);
  for (Clock& row : fenced_) row.clear();
  uintptr_t end = 0;
  variables_ = UINTPTR_MAX;
  for (const Range& variable : variables()) {
    variables_ = std::min(variables_, variable.start);
    end = std::max(end, variable.start + variable.bytes);
  }
  variables_bytes_ = end - variables_;
  active = this;
}

void RaceDetector::resume(int thread, const Fiber& fiber) {
  thread_ = static_cast<uint32_t>(thread);
  unwatched = {fiber.stack_start(), fiber.stack_size()};
}

void RaceDetector::end_block() {
  active = nullptr;
  unwatched = all_memory;
}

// ---- Clocks -------------------------------------------------------------------------------------------

// Adds what `more` knows to `clock`; an empty clock knows nothing.
static void join(Clock& clock, const Clock& more) {
  if (clock.size() < more.size()) clock.resize(more.size());
  for (size_t i = 0; i < more.size(); ++i) clock[i] = std::max(clock[i], more[i]);
}

void RaceDetector::block_barrier() {
  const Quiet quiet;
  base_ = count_;
  for (uint32_t& count : count_) ++count;
  for (Clock& row : knows_) row.clear();
  for (Clock& row : fenced_) {
    join(fenced_base_, row);
    row.clear();
  }
}

void RaceDetector::sync_warp(int warp, uint32_t lanes) {
  const Quiet quiet;
  Clock all(threads_), fenced;
  const auto first = static_cast<uint32_t>(warp) * 32;
  for (uint32_t lane = 0; lane < 32; ++lane) {
    if (!(lanes >> lane & 1)) continue;
    join(all, knows_[first + lane]);
    join(fenced, fenced_[first + lane]);
    all[first + lane] = std::max(all[first + lane], count_[first + lane]++);
  }
  for (uint32_t lane = 0; lane < 32; ++lane)
    if (lanes >> lane & 1) {
      knows_[first + lane] = all;
      fenced_[first + lane] = fenced;
    }
}

void RaceDetector::arrive(Handover& handover) {
  const Quiet quiet;
  join(handover.known, base_);
  join(handover.known, knows_[thread_]);
  handover.known[thread_] = count_[thread_]++;
  join(handover.fenced, fenced_[thread_]);
}

void RaceDetector::pass(int warp, uint32_t lanes, const Handover& handover) {
  const Quiet quiet;
  for (uint32_t lane = 0; lane < 32; ++lane)
    if (lanes >> lane & 1) {
      join(knows_[static_cast<uint32_t>(warp) * 32 + lane], handover.known);
      join(fenced_[static_cast<uint32_t>(warp) * 32 + lane], handover.fenced);
    }
}

// Everything that the thread knows of, its own writes among them, is now behind a fence for it.
void RaceDetector::proxy_fence() {
  const Quiet quiet;
  Clock& fenced = fenced_[thread_];
  join(fenced, base_);
  join(fenced, knows_[thread_]);
  fenced[thread_] = count_[thread_]++;
}

inline bool RaceDetector::ordered(Access before) const {
  if (before.block() != block_) return false;
  if (before.thread() == thread_ || before.clock() <= base_[before.thread()]) return true;
  const Clock& mine = knows_[thread_];
  return !mine.empty() && before.clock() <= mine[before.thread()];
}

// ---- Accesses -----------------------------------------------------------------------------------------

// From here to access() is what every access of instrumented code goes through, written to be inlined into
// one function.

inline RaceDetector::Page& RaceDetector::page_of(uintptr_t address, bool shared) {
  Page* page;
  if (shared) {
    page = &shared_pages_[(address - shared_) / page_bytes];
  } else {
    const uintptr_t number = address / page_bytes;
    Near& near = near_[number % near_.size()];
    if (!near.page || near.number != number) near = {number, global_page(number)};
    page = near.page;
  }
  const uint64_t current = shared ? generation_ : launch_generation_;
  if (page->generation != current) page->begin(current);
  return *page;
}

[[gnu::noinline]] RaceDetector::Page* RaceDetector::global_page(uintptr_t number) {
  return &global_pages_[number];
}

// Most often it will be accessed in the same way as before.
[[gnu::noinline]] void RaceDetector::Page::begin(uint64_t now) {
  generation = now;
  cells.assign(page_bytes >> shift, {});
}

[[gnu::noinline]] void RaceDetector::Page::split() {
  --shift;
  std::vector<Cell> halves(cells.size() * 2);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = cells[i / 2];
  cells = std::move(halves);
}

// The newest read comes first. One of another warp, or block, is dropped last: the order of a warp's own
// threads is more often given by something else.
inline void RaceDetector::keep_read(Cell& cell, Access now) {
  Access* const reads = cell.reads;
  static_assert(kept_reads == 3);
  if (reads[0].clock() && !reads[0].is_of_thread(now)) {
    const bool full = reads[1].clock() && !reads[1].is_of_thread(now);
    const bool first_goes = full && reads[2].clock() && !reads[2].is_of_thread(now) &&
                            reads[1].is_of_warp(now) && !reads[2].is_of_warp(now);
    if (full && !first_goes) reads[2] = reads[1];
    reads[1] = reads[0];
  }
  reads[0] = now;
}

inline void RaceDetector::touch_cell(Cell& cell, uintptr_t address, bool shared, Access now) {
  const bool writes = now.kind() != Kind::read;
  // Again the same, and nothing has come between: a write would have taken the read away.
  if (!writes && cell.reads[0].clock() == now.clock() && cell.reads[0].is_of_thread(now)) return;
  if (cell.write.clock()) {
    const bool both_atomic = now.kind() == Kind::atomic && cell.write.kind() == Kind::atomic;
    if (cell.write.kind() == Kind::async || (!both_atomic && !ordered(cell.write)))
      found(address, shared, cell.write, now);
  } else if (shared && !writes) {
    found(address, shared, {}, now);
  }
  if (!writes) return keep_read(cell, now);
  for (Access& r : cell.reads) {
    if (r.clock() && !ordered(r)) found(address, shared, r, now);
    r = {};
  }
  cell.write = now;
}

inline void RaceDetector::touch(uintptr_t address, size_t bytes, Access now) {
  const bool shared = address - shared_ < shared_bytes_;
  const uintptr_t end = address + bytes;
  if (shared && units_reading_ > 0 && now.kind() != Kind::read)
    for (uintptr_t place = (address - shared_) / 16; place <= (end - 1 - shared_) / 16; ++place)
      if (unit_reads_[place].count > 0) {
        found_.under_way = true;
        found(address, shared, unit_reads_[place].start, now);
      }
  while (address < end) {
    Page& page = page_of(address, shared);
    const uintptr_t page_end = std::min(end, address / page_bytes * page_bytes + page_bytes);
    // A page has one cell for 16 bytes until somebody accesses less; then its cells are split.
    while (page.shift > 0 && ((address | page_end) & ((uintptr_t{1} << page.shift) - 1))) page.split();
    const uintptr_t step = uintptr_t{1} << page.shift;
    for (; address < page_end; address += step) touch_cell(page.at(address), address, shared, now);
  }
}

inline RaceDetector::Access RaceDetector::access_now(Kind kind, uint32_t place) const {
  return {count_[thread_], place, block_, thread_, kind};
}

[[gnu::flatten]] void RaceDetector::access(const void* address, size_t bytes, Kind kind, const void* place) {
  touch(reinterpret_cast<uintptr_t>(address), bytes, access_now(kind, place_of(place)));
}

void RaceDetector::read(const void* address, size_t bytes, Site site) {
  const Quiet quiet;
  touch(reinterpret_cast<uintptr_t>(address), bytes, access_now(Kind::read, encode(site)));
}

void RaceDetector::async_copy(const void* to, size_t bytes, Site site) {
  const Quiet quiet;
  touch(reinterpret_cast<uintptr_t>(to), bytes, access_now(Kind::async, encode(site)));
}

void RaceDetector::async_landed(const void* to, size_t bytes, Site site) {
  const Quiet quiet;
  const Access now = access_now(Kind::write, encode(site));
  for (auto a = reinterpret_cast<uintptr_t>(to), end = a + bytes; a < end;) {
    Page& page = page_of(a, true);  // cells no larger than the copy: async_copy() has seen to it
    page.at(a).write = now;
    a += uintptr_t{1} << page.shift;
  }
}

void RaceDetector::async_proxy_read(const void* address, size_t bytes, Site site) {
  const Quiet quiet;
  const auto start = reinterpret_cast<uintptr_t>(address);
  const Access now = access_now(Kind::read, encode(site));
  touch(start, bytes, now);
  check_fenced(start, bytes, now);
}

void RaceDetector::check_fenced(uintptr_t start, size_t bytes, Access now) {
  const Clock& mine = fenced_[thread_];
  for (uintptr_t a = start; a < start + bytes; ++a) {
    Page& page = page_of(a, true);
    const Access& write = page.at(a).write;
    if (write.kind() == Kind::unit || write.clock() <= fenced_base_[write.thread()] ||
        (!mine.empty() && write.clock() <= mine[write.thread()]))
      continue;
    found_.unfenced = true;
    found(a, true, write, now);
  }
}

void RaceDetector::mbarrier_access(const void* barrier, bool initialises, Site site) {
  const Quiet quiet;
  touch(reinterpret_cast<uintptr_t>(barrier), 8,
        access_now(initialises ? Kind::write : Kind::atomic, encode(site)));
}

uint32_t RaceDetector::unit_copy_started(const void* to, size_t bytes, Site site) {
  const Quiet quiet;
  touch(reinterpret_cast<uintptr_t>(to), bytes, access_now(Kind::async, encode(site)));
  return count_[thread_]++;
}

void RaceDetector::unit_copy_landed(const void* to, size_t bytes, Site site, int thread, uint32_t clock,
                                    Handover& handover) {
  const Quiet quiet;
  const auto who = static_cast<uint32_t>(thread);
  const Access now(clock, encode(site), block_, who, Kind::unit);
  for (auto a = reinterpret_cast<uintptr_t>(to), end = a + bytes; a < end;) {
    Page& page = page_of(a, true);
    page.at(a).write = now;
    a += uintptr_t{1} << page.shift;
  }
  if (handover.known.size() < threads_) handover.known.resize(threads_);
  handover.known[who] = std::max(handover.known[who], clock);
}

void RaceDetector::unit_read_started(int thread, const void* address, Site site) {
  const Quiet quiet;
  const uint32_t running = std::exchange(thread_, static_cast<uint32_t>(thread));
  const auto start = reinterpret_cast<uintptr_t>(address);
  const Access now = access_now(Kind::read, encode(site));
  touch(start, 16, now);
  check_fenced(start, 16, now);
  UnitRead& mark = unit_reads_[(start - shared_) / 16];
  if (mark.count++ == 0) mark.start = now;
  ++units_reading_;
  thread_ = running;
}

void RaceDetector::unit_read_ended(int thread, const void* address, Site site) {
  const Quiet quiet;
  const uint32_t running = std::exchange(thread_, static_cast<uint32_t>(thread));
  const auto start = reinterpret_cast<uintptr_t>(address);
  --unit_reads_[(start - shared_) / 16].count;
  --units_reading_;
  touch(start, 16, access_now(Kind::read, encode(site)));
  thread_ = running;
}

// ---- Reports ------------------------------------------------------------------------------------------

void RaceDetector::found(uintptr_t address, bool shared, Access before, Access now) {
  found_ = {address, shared, before, now, found_.unfenced, found_.under_way};
  fail_with_race();
}

std::string RaceDetector::report() const {
  const auto who = [&](const Access& a) {
    const uint32_t x = block_size_.x, y = block_size_.y;
    std::string text =
        fmt::format("thread ({},{},{})", a.thread() % x, a.thread() / x % y, a.thread() / x / y);
    if (a.block() != found_.now.block())
      text += fmt::format(" of block ({},{},{})", a.block() % grid_.x, a.block() / grid_.x % grid_.y,
                          a.block() / grid_.x / grid_.y);
    return text;
  };
  const auto verb = [](const Access& a) {
    switch (a.kind()) {
      case Kind::read: return "reads";
      case Kind::write: return "writes";
      case Kind::atomic: return "changes atomically";
      case Kind::async: return "copies asynchronously to";
      case Kind::unit: return "lets an asynchronous unit write";
    }
    return "?";
  };
  const std::string memory =
      found_.shared ? fmt::format("shared memory at offset {}", found_.address - shared_) : "global memory";
  const std::string here = look_up(found_.now.place());
  if (found_.before.clock() == 0)
    return fmt::format("{}: {} reads {}, which nobody has written", here, who(found_.now), memory);
  if (found_.unfenced)
    return fmt::format(
        "{}: {} lets an asynchronous unit read {}, which\n  {}: {} {}; no fence_proxy_async() stands between "
        "them",
        here, who(found_.now), memory, look_up(found_.before.place()), who(found_.before),
        verb(found_.before));
  const std::string reason = found_.before.block() != found_.now.block() ? "nothing orders blocks of a grid"
                             : found_.before.kind() == Kind::async       ? "the copy has not been waited for"
                             : found_.under_way ? "the product that reads it has not been waited for"
                                                : "no barrier stands between them";
  return fmt::format("{}: race: {} {} {}, which\n  {}: {} {}; {}", here, who(found_.now), verb(found_.now),
                     memory, look_up(found_.before.place()), who(found_.before), verb(found_.before), reason);
}

void note_access(const void* address, size_t bytes, bool, HookKind kind, const void* place) {
  if (active->is_near_variables(address) && RaceDetector::is_variable(address)) return;
  const Quiet quiet;
  constexpr RaceDetector::Kind kinds[] = {RaceDetector::Kind::read, RaceDetector::Kind::write,
                                          RaceDetector::Kind::atomic, RaceDetector::Kind::atomic};
  active->access(address, bytes, kinds[static_cast<int>(kind)], place);
}

}  // namespace gan::simt::runtime
#endif
