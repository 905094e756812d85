// What an engine does, in this order: a launch and its blocks; the schedule; threads and fibers; barriers; warp
// operations; shared memory; asynchronous copies. hopper.cpp goes on. race.h and watch.h are what the race build and the watch build
// add: in other builds the calls of race_ and watch_ do nothing.
//
// The idea that makes it cheap: all CUDA threads of a block start as "ready, without a fiber". A fiber runs
// thread t; when t returns, the same fiber takes the next ready thread in a plain loop. Only a thread that
// has to wait keeps its fiber, and another one takes over. A kernel without barriers is thus a loop on one
// stack.
#include "kernels/simt/engine.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <numeric>
#include <tuple>

#if defined(GAN_SIMT_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace gan::simt::runtime {
namespace {

bool are_same(Site a, Site b) {  // most often it is the same piece of text
  return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

void poison([[maybe_unused]] void* from, [[maybe_unused]] size_t bytes) {
#if defined(GAN_SIMT_ASAN)
  __asan_poison_memory_region(from, bytes);
#endif
}
void unpoison([[maybe_unused]] void* from, [[maybe_unused]] size_t bytes) {
#if defined(GAN_SIMT_ASAN)
  __asan_unpoison_memory_region(from, bytes);
#endif
}
#if defined(GAN_SIMT_ASAN)
constexpr bool asan_build = true;
#else
constexpr bool asan_build = false;
#endif

}  // namespace

Engine::Engine() : arena_(static_cast<char*>(std::aligned_alloc(arena_bytes, arena_bytes))) {
  if (!arena_) gan::fail(Exit::failure, "simt: no memory for {} bytes of shared memory", arena_bytes);
}

Engine::~Engine() {
  unpoison(arena_, arena_bytes);
  std::free(arena_);
}

// ---- Engine: a launch, a block ------------------------------------------------------------------------

void Engine::begin(const Launch& launch) {
  launch_ = &launch;
  blockDim = launch.shape.block;
  gridDim = launch.shape.grid;
  warps_ = (launch.threads + 31) / 32;
  threads_.assign(static_cast<size_t>(launch.threads), {});
  size_t t = 0;
  for (unsigned z = 0; z < blockDim.z; ++z)
    for (unsigned y = 0; y < blockDim.y; ++y)
      for (unsigned x = 0; x < blockDim.x; ++x) threads_[t++].index = {x, y, z};

  race_.begin_launch(launch.threads, launch.shape.block, launch.shape.grid, arena_, arena_bytes);
  watch_.begin_launch(launch.shape, launch.threads, arena_, arena_bytes);
  static_arrays_.clear();
  static_bytes_ = 0;
  statics_begin_ = arena_bytes;
  guarded_ = false;
  poison(arena_, arena_bytes);
  unpoison(arena_ + arena_first, launch.shape.dynamic_shared_bytes);
}

std::string Engine::run_block(uint64_t block) {
  const dim3 grid = launch_->shape.grid;
  blockIdx = {static_cast<unsigned>(block % grid.x), static_cast<unsigned>(block / grid.x % grid.y),
              static_cast<unsigned>(block / grid.x / grid.y)};

  // Shared memory starts out as NaN (-1 in integers), whatever the previous block left there.
  if (launch_->shape.dynamic_shared_bytes)
    std::memset(arena_ + arena_first, 0xff, launch_->shape.dynamic_shared_bytes);
  for (const StaticArray& a : static_arrays_) std::memset(arena_ + a.offset, 0xff, a.bytes);

  for (CudaThread& t : threads_) {
    t.worker = nullptr;
    t.exited = false;
    t.operation = nullptr;
    t.copies.clear();
    t.groups = 0;
  }
  begin_hopper();
  for (int w = 0; w < warps_; ++w) exited_lanes_[w] = 0;
  live_ = launch_->threads;
  barrier_ = {};
  for (NamedBarrier& b : named_barriers_) b.arrived = 0;
  failure_ = Failure::none;
  reset_schedule(block);
  for (int w = 0; w < warps_; ++w) wake(w, existing_lanes(w));

  running_ = &main_;
  race_.begin_block(block);
  watch_.begin_block();
  resume(pick());  // comes back when the block is done or has failed
  watch_.end_block();
  race_.end_block();
  if (watch_.is_full())
    return fmt::format("too large a launch to watch: more than {} accesses and branches; use smaller sizes",
                       Watcher::most_events);
  if (failure_ == Failure::none) check_hopper();
  if (failure_ == Failure::none) check_guard();
  if (failure_ == Failure::none) return {};

  std::string what = failure_ == Failure::message    ? message_
                     : failure_ == Failure::deadlock ? deadlock_report()
                                                     : race_.report();
  for (NamedBarrier& b : named_barriers_) std::fill(b.waiting, b.waiting + max_warps, 0);
  for (auto& meetings : meetings_) meetings.clear();
  free_workers_.clear();
  for (const auto& worker : workers_) {
    worker->fiber.restart();
    free_workers_.push_back(worker.get());
  }
  const dim3 size = launch_->shape.block;
  const Site site = launch_->shape.site;
  return fmt::format(
      "{}\n  in block ({},{},{}) of a grid of ({},{},{}), block size ({},{},{}), launched at {}:{}\n  replay "
      "with {}",
      what, blockIdx.x, blockIdx.y, blockIdx.z, grid.x, grid.y, grid.z, size.x, size.y, size.z, site.file,
      site.line, setting_of(launch_->config));
}

// ---- Engine: the schedule -----------------------------------------------------------------------------

uint64_t Engine::random() {  // xorshift64
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return random_state_;
}

// Random blocks come in three styles. Fair picks alone would keep all threads nearly in step and so miss most
// write-after-read bugs; priorities that let some warps race far ahead find those. Changing them now and then
// follows "probabilistic concurrency testing" (Burckhardt et al., ASPLOS 2010).
void Engine::reset_schedule(uint64_t block) {
  const Schedule schedule = launch_->config.schedule;
  random_state_ = mix(launch_->config.seed ^ mix(block)) | 1;
  ready_priorities_ = 0;
  for (int i = 0; i < warps_; ++i) {
    warp_at_[i] = schedule == Schedule::reverse ? warps_ - 1 - i : i;
    priority_of_[warp_at_[i]] = i;
    ready_lanes_[i] = 0;
  }
  first_lane_ = 0;
  style_ = Style::in_order;
  if (schedule == Schedule::random) {
    constexpr Style styles[] = {Style::fair, Style::changing_priorities, Style::fixed_priorities};
    style_ = styles[(random() >> 20) % 3];
    shuffle_priorities();
  }
}

void Engine::shuffle_priorities() {
  for (int i = warps_ - 1; i > 0; --i)
    std::swap(warp_at_[i], warp_at_[(random() >> 20) % static_cast<uint64_t>(i + 1)]);
  ready_priorities_ = 0;
  for (int i = 0; i < warps_; ++i) {
    priority_of_[warp_at_[i]] = i;
    if (ready_lanes_[warp_at_[i]]) ready_priorities_ |= 1u << i;
  }
  first_lane_ = static_cast<int>((random() >> 20) & 31);
}

void Engine::wake(int warp, uint32_t lanes) {
  if (!lanes) return;
  ready_lanes_[warp] |= lanes;
  ready_priorities_ |= 1u << priority_of_[warp];
}

// Takes the thread that runs next out of the ready set; -1 when there is none.
int Engine::pick() {
  if (!ready_priorities_) return -1;
  int priority = __builtin_ctz(ready_priorities_);
  if (style_ == Style::fair) {
    const uint64_t draw = random();
    uint32_t candidates = ready_priorities_;
    for (uint64_t skip = (draw >> 8) % static_cast<uint64_t>(__builtin_popcount(candidates)); skip > 0;
         --skip)
      candidates &= candidates - 1;
    priority = __builtin_ctz(candidates);
    first_lane_ = static_cast<int>((draw >> 40) & 31);
  } else if (style_ == Style::changing_priorities && ((random() >> 20) & 255) == 0) {
    shuffle_priorities();
    priority = __builtin_ctz(ready_priorities_);
  }
  const int warp = warp_at_[priority];
  const uint32_t lanes = ready_lanes_[warp];
  int lane;
  if (launch_->config.schedule == Schedule::reverse) {
    lane = 31 - __builtin_clz(lanes);
  } else {
    const uint32_t rotated = first_lane_ ? (lanes >> first_lane_) | (lanes << (32 - first_lane_)) : lanes;
    lane = (__builtin_ctz(rotated) + first_lane_) & 31;
  }
  ready_lanes_[warp] = lanes & ~(1u << lane);
  if (!ready_lanes_[warp]) ready_priorities_ &= ~(1u << priority);
  return warp * 32 + lane;
}

// ---- Engine: threads and fibers -----------------------------------------------------------------------

void Worker::start(void* self) {
  Worker* const worker = static_cast<Worker*>(self);
  worker->engine->run_threads(worker);
}

// The loop on every fiber: run the thread that was made current, then whichever is to run next.
void Engine::run_threads(Worker* self) {
  for (;;) {
    launch_->body(launch_->call);
    on_exit();
    int next = pick();
    while (next < 0 && live_ > 0 && land_copy()) next = pick();
    if (next >= 0 && !threads_[static_cast<size_t>(next)].worker) {
      threads_[static_cast<size_t>(next)].worker = self;
      resume(next);  // stays on this stack
      continue;
    }
    free_workers_.push_back(self);
    if (next >= 0) {
      resume(next);
    } else {
      if (live_ > 0) failure_ = Failure::deadlock;
      return_to_main();
    }
  }
}

Worker* Engine::take_worker() {
  if (free_workers_.empty()) {
    workers_.push_back(std::make_unique<Worker>(this, workers_.size()));
    free_workers_.push_back(workers_.back().get());
  }
  Worker* const worker = free_workers_.back();
  free_workers_.pop_back();
  return worker;
}

// Lets another thread go on, at once and on its own stack; returns when the caller's stack is taken up again.
void Engine::resume(int thread) {
  CudaThread& next = threads_[static_cast<size_t>(thread)];
  if (!next.worker) next.worker = take_worker();
  current_ = thread;
  threadIdx = next.index;
  race_.resume(thread, next.worker->fiber);
  watch_.resume(thread, next.worker->fiber);
  Fiber& from = *running_;
  Fiber& to = next.worker->fiber;
  if (&from == &to) return;
  running_ = &to;
  Fiber::switch_to(from, to);
}

void Engine::return_to_main() {
  Fiber& from = *running_;
  running_ = &main_;
  Fiber::switch_to(from, main_);
}

void Engine::wait(const char* operation, Site site, uint32_t wanted_mask) {
  CudaThread& me = threads_[static_cast<size_t>(current_)];
  me.operation = operation;
  me.site = site;
  me.wanted_mask = wanted_mask;
  int next = pick();
  while (next < 0 && land_copy()) next = pick();
  if (next < 0) {
    failure_ = Failure::deadlock;
    return_to_main();
  }
  resume(next);
}

void Engine::yield() {
  if (launch_->config.schedule != Schedule::random || ((random() >> 20) & 3)) return;
  wake(current_ / 32, 1u << lane());
  wait("a random pause", {"", 0}, 0);
}

void Engine::on_exit() {
  const int warp = current_ / 32;
  check_exit();
  threads_[static_cast<size_t>(current_)].exited = true;
  exited_lanes_[warp] |= 1u << lane();
  --live_;
  for (const Rendezvous& r : meetings_[warp])
    if (r.arrived && (r.mask >> lane() & 1))
      fail("{}:{}: {} waits for a lane that has exited: its mask 0x{:08x} names lane {}", r.site.file,
           r.site.line, r.operation->name, r.mask, lane());
  if (barrier_.arrived > 0 && barrier_.arrived >= live_) release_barrier();
}

void Engine::fail_with_race() {
  failure_ = Failure::race;
  return_to_main();
  std::abort();
}

// ---- Engine: barriers ---------------------------------------------------------------------------------

void Engine::bad_barrier(const char* operation, Site site) {
  const Barrier& b = barrier_;
  fail("{}:{}: divergent {}: this thread is here while {} other{} of its block wait{} in {} at {}:{}",
       site.file, site.line, operation, b.arrived, b.arrived == 1 ? "" : "s", b.arrived == 1 ? "s" : "",
       b.operation, b.site.file, b.site.line);
}

int Engine::barrier(const char* operation, Site site, bool predicate) {
  watch_.barrier(operation, site);
  Barrier& b = barrier_;
  if (b.arrived == 0) {
    b.operation = operation;
    b.site = site;
  } else if (!are_same(b.site, site)) {
    bad_barrier(operation, site);
  }
  ++b.arrived;
  b.yes += predicate;
  b.waiting[current_ / 32] |= 1u << lane();
  if (b.arrived < live_) {
    wait(operation, site, 0);
  } else if (style_ == Style::in_order) {
    b.waiting[current_ / 32] &= ~(1u << lane());  // the last to come goes straight on: as far ahead as can be
    release_barrier();
  } else {
    release_barrier();
    wait(operation, site, 0);
  }
  // No thread can complete another round before each of this one has read its result: it takes all of them.
  return b.last_yes;
}

void Engine::release_barrier() {
  race_.block_barrier();
  for (int w = 0; w < warps_; ++w) wake(w, std::exchange(barrier_.waiting[w], 0));
  barrier_.last_yes = std::exchange(barrier_.yes, 0);
  barrier_.arrived = 0;
}

void Engine::bad_named_barrier(const char* operation, int id, int threads, Site site) {
  if (id < 1 || id >= named_barriers)
    fail("{}:{}: {} of barrier {}: the numbers are 1 to {}", site.file, site.line, operation, id,
         named_barriers - 1);
  if (threads < 32 || threads % 32 != 0 || threads > warps_ * 32)
    fail("{}:{}: {} of barrier {} for {} threads: it must be a multiple of 32 and at most the block's {}",
         site.file, site.line, operation, id, threads, warps_ * 32);
  const NamedBarrier& b = named_barriers_[id];
  fail("{}:{}: {} of barrier {} for {} threads, while {} came for {} at {}:{}", site.file, site.line,
       operation, id, threads, b.arrived, b.expected, b.site.file, b.site.line);
}

// Threads are counted one by one, as on GPUs from compute capability 7.0 on. The one whose arrival completes
// the round goes straight on, or, in a random schedule, is put back among the others.
void Engine::named_barrier(const char* operation, int id, int threads, bool wait_for_others, Site site) {
  if (id < 1 || id >= named_barriers || threads < 32 || threads % 32 != 0 || threads > warps_ * 32)
    bad_named_barrier(operation, id, threads, site);
  watch_.barrier(operation, site);
  NamedBarrier& b = named_barriers_[id];
  if (b.arrived == 0) {
    b.expected = threads;
    b.site = site;
    b.handover = {};
  } else if (b.expected != threads) {
    bad_named_barrier(operation, id, threads, site);
  }
  ++b.arrived;
  race_.arrive(b.handover);
  if (wait_for_others) b.waiting[current_ / 32] |= 1u << lane();
  const bool complete = b.arrived == b.expected;
  if (complete) {
    const bool go_straight_on = wait_for_others && style_ == Style::in_order;
    for (int w = 0; w < warps_; ++w) {
      const uint32_t lanes = std::exchange(b.waiting[w], 0);
      race_.pass(w, lanes, b.handover);
      wake(w, go_straight_on && w == current_ / 32 ? lanes & ~(1u << lane()) : lanes);
    }
    b.arrived = 0;
    if (go_straight_on) return;
  }
  if (wait_for_others) wait(operation, site, 0);
}

// ---- Engine: warp operations --------------------------------------------------------------------------

uint32_t Engine::existing_lanes(int warp) const {
  const int lanes = std::min(32, launch_->threads - warp * 32);
  return lanes == 32 ? 0xffffffffu : (1u << lanes) - 1;
}

// mask: no longer "the whole warp".
void Engine::bad_rendezvous(const WarpOperation& operation, uint32_t mask, Site site) {
  const int warp = current_ / 32;
  const uint32_t existing = existing_lanes(warp), me = 1u << lane();
  if (!(mask & me))
    fail("{}:{}: {} with mask 0x{:08x}, which does not name the calling lane {}", site.file, site.line,
         operation.name, mask, lane());
  if (mask & ~existing)
    fail("{}:{}: {} with mask 0x{:08x} names lanes that do not exist: this warp has lanes 0x{:08x}",
         site.file, site.line, operation.name, mask, existing);
  if (mask & exited_lanes_[warp])
    fail(
        "{}:{}: {} with mask 0x{:08x} names lanes that have exited (0x{:08x}): a mask must name exactly the "
        "lanes that "
        "arrive",
        site.file, site.line, operation.name, mask, mask & exited_lanes_[warp]);
  const Rendezvous& r =
      *std::find_if(meetings_[warp].begin(), meetings_[warp].end(),
                    [&](const Rendezvous& other) { return other.arrived && other.mask == mask; });
  fail(
      "{}:{}: divergent {}: this lane ({}) is here while lanes 0x{:08x} of its mask 0x{:08x} are in {} at "
      "{}:{}",
      site.file, site.line, operation.name, lane(), r.arrived, mask, r.operation->name, r.site.file,
      r.site.line);
}

void Engine::rendezvous(const WarpOperation& operation, uint32_t mask, void* my_data, Site site) {
  watch_.warp_operation(operation.name, site);
  const int warp = current_ / 32;
  const uint32_t existing = existing_lanes(warp), me = 1u << lane();
  if (mask == 0xffffffffu) mask = existing;  // "the whole warp" is fine in a last warp that is not full
  if (!(mask & me) || (mask & (~existing | exited_lanes_[warp]))) bad_rendezvous(operation, mask, site);

  std::vector<Rendezvous>& meetings = meetings_[warp];
  size_t slot = 0;
  while (slot < meetings.size() && !(meetings[slot].arrived && meetings[slot].mask == mask)) ++slot;
  if (slot == meetings.size()) {  // the first to come
    for (slot = 0; slot < meetings.size() && meetings[slot].arrived;) ++slot;
    if (slot == meetings.size()) meetings.emplace_back();
    meetings[slot].mask = mask;
    meetings[slot].operation = &operation;
    meetings[slot].site = site;
  }
  Rendezvous& r = meetings[slot];
  if (r.operation != &operation || !are_same(r.site, site)) bad_rendezvous(operation, mask, site);
  r.arrived |= me;
  r.lane_data[lane()] = my_data;
  if (r.arrived != mask) {
    wait(operation.name, site, mask);
    return;
  }
  if (operation.run) operation.run(r.lane_data, mask);
  if (&operation == &sync_warp) race_.sync_warp(warp, mask);  // no other warp operation orders memory
  r.arrived = 0;
  if (style_ == Style::in_order) {
    wake(warp, mask & ~me);
  } else {
    wake(warp, mask);
    wait(operation.name, site, mask);
  }
}

// Says who waits where, one line for each place. Runs on the main stack.
std::string Engine::deadlock_report() const {
  struct Group {
    int count = 0, first = 0;
  };
  std::map<std::tuple<std::string, int, std::string, size_t>, Group> groups;  // the last: of an mbarrier
  for (int t = launch_->threads - 1; t >= 0; --t) {
    const CudaThread& thread = threads_[static_cast<size_t>(t)];
    if (thread.exited) continue;
    Group& group = groups[{thread.site.file, thread.site.line, thread.operation, thread.mbarrier}];
    ++group.count;
    group.first = t;
  }
  std::string report = fmt::format("deadlock: no thread of the block can go on ({} of {} have exited)",
                                   launch_->threads - live_, launch_->threads);
  for (const auto& [place, group] : groups) {
    const CudaThread& first = threads_[static_cast<size_t>(group.first)];
    report += fmt::format("\n  {}:{}: {} thread{} in {}, the first is ({},{},{})", std::get<0>(place),
                          std::get<1>(place), group.count, group.count == 1 ? " waits" : "s wait",
                          std::get<2>(place), first.index.x, first.index.y, first.index.z);
    for (const MBarrier& barrier : mbarriers_)
      if (first.mbarrier == barrier.offset) report += describe(barrier, first.parity);
    if (first.wanted_mask == 0) continue;
    for (const Rendezvous& r : meetings_[group.first / 32])
      if (r.arrived && r.mask == first.wanted_mask)
        report +=
            fmt::format("; lanes 0x{:08x} of its mask 0x{:08x} have not come", r.mask & ~r.arrived, r.mask);
  }
  return report;
}

// ---- Engine: shared memory ----------------------------------------------------------------------------

void* Engine::static_shared(const void* tag, const char* name, size_t bytes, size_t alignment) {
  for (const StaticArray& a : static_arrays_)
    if (a.tag == tag) return arena_ + a.offset;
  static_bytes_ += bytes;
  if (static_bytes_ > max_static_bytes)
    fail("{} bytes of SHARED_ARRAY: at most {} are possible, use DYNAMIC_SHARED for more", static_bytes_,
         max_static_bytes);
  if (static_bytes_ + launch_->shape.dynamic_shared_bytes > max_total_bytes)
    fail("{} bytes of SHARED_ARRAY and {} of dynamic shared memory: a block has at most {}", static_bytes_,
         launch_->shape.dynamic_shared_bytes, max_total_bytes);
  alignment = std::max<size_t>(alignment, 16);
  const size_t guard_end = arena_first + launch_->shape.dynamic_shared_bytes + guard_bytes;
  if (statics_begin_ < guard_end + bytes + red_zone + alignment)
    fail("too many separate SHARED_ARRAYs in one kernel");
  statics_begin_ = (statics_begin_ - red_zone - bytes) / alignment * alignment;
  char* const array = arena_ + statics_begin_;
  unpoison(array, bytes);
  std::memset(array, 0xff, bytes);
  static_arrays_.push_back({tag, statics_begin_, bytes});
  watch_.name_shared(name, array, bytes);
  return array;
}

// Kernels that use no dynamic shared memory have no guard, and pay nothing for it.
void* Engine::dynamic_shared() {
  char* const memory = arena_ + arena_first;
  if (!asan_build && !guarded_) {
    char* const guard = memory + launch_->shape.dynamic_shared_bytes;
    for (size_t i = 0; i < guard_bytes; i += sizeof guard_word)
      std::memcpy(guard + i, &guard_word, sizeof guard_word);
    guarded_ = true;
  }
  return memory;
}

// Has the block that has just ended written behind its dynamic shared memory?
void Engine::check_guard() {
  if (!guarded_) return;
  const size_t asked_for = launch_->shape.dynamic_shared_bytes;
  const char* const guard = arena_ + arena_first + asked_for;
  // All words are equal when the first is right and each is the same as the one behind it.
  if (std::memcmp(guard, &guard_word, sizeof guard_word) == 0 &&
      std::memcmp(guard, guard + sizeof guard_word, guard_bytes - sizeof guard_word) == 0)
    return;
  size_t first = 0;
  while (guard[first] == reinterpret_cast<const char*>(&guard_word)[first % sizeof guard_word]) ++first;
  failure_ = Failure::message;
  const auto end =
      fmt::format_to_n(
          message_, sizeof message_ - 1,
          "the block wrote beyond its dynamic shared memory, for which the launch asked {} bytes: "
          "byte {} has changed",
          asked_for, asked_for + first)
          .out;
  *end = '\0';
}

void Engine::check_shared(const char* operation, const void* address, size_t bytes, size_t alignment,
                          Site site) {
  const size_t offset = static_cast<size_t>(static_cast<const char*>(address) - arena_);
  const auto is_in = [&](size_t first, size_t length) {
    return offset >= first && offset + bytes <= first + length;
  };
  bool inside = is_in(arena_first, launch_->shape.dynamic_shared_bytes);
  for (const StaticArray& a : static_arrays_) inside = inside || is_in(a.offset, a.bytes);
  if (!inside || offset % alignment != 0) bad_shared(operation, address, bytes, alignment, site);
}

void Engine::bad_shared(const char* operation, const void* address, size_t bytes, size_t alignment,
                        Site site) {
  const size_t offset = static_cast<size_t>(static_cast<const char*>(address) - arena_);
  if (offset >= arena_bytes)
    fail("{}:{}: {} with an address that is not in shared memory", site.file, site.line, operation);
  if (offset % alignment != 0)
    fail("{}:{}: {} with the shared address {}, which is no multiple of {}", site.file, site.line, operation,
         offset, alignment);
  fail(
      "{}:{}: {} of {} bytes outside of all shared arrays, {} bytes behind the start of dynamic shared "
      "memory, of which the launch asked for {}",
      site.file, site.line, operation, bytes,
      static_cast<ptrdiff_t>(offset) - static_cast<ptrdiff_t>(arena_first),
      launch_->shape.dynamic_shared_bytes);
}

void Engine::read_shared(const char* operation, void* to, const void* shared, size_t bytes, Site site) {
  check_shared(operation, shared, bytes, 16, site);
  race_.read(shared, bytes, site);
  watch_.matrix_load(operation, shared, site);
  std::memcpy(to, shared, bytes);
}

void Engine::async_proxy_read(const char* operation, void* to, const void* shared, size_t bytes, Site site) {
  check_shared(operation, shared, bytes, 16, site);
  race_.async_proxy_read(shared, bytes, site);
  std::memcpy(to, shared, bytes);
}

// ---- Engine: asynchronous copies ----------------------------------------------------------------------
// The source is read at once. The bytes arrive in async_wait(), or, for half of the copies of a random
// schedule, at once too; until they do, the destination holds NaN.

void Engine::bad_copy(const void* global, int bytes, Site site) {
  if (reinterpret_cast<uintptr_t>(global) % static_cast<size_t>(bytes) != 0)
    fail("{}:{}: cp_async of {} bytes from a global address that is no multiple of it", site.file, site.line,
         bytes);
  fail("{}:{}: cp_async from shared memory: it copies from global to shared memory only", site.file,
       site.line);
}

void Engine::async_copy(void* shared, const void* global, int bytes, bool real, Site site) {
  const auto size = static_cast<size_t>(bytes);
  check_shared("cp_async", shared, size, size, site);
  const bool shared_source =
      real && reinterpret_cast<uintptr_t>(global) - reinterpret_cast<uintptr_t>(arena_) < arena_bytes;
  if (reinterpret_cast<uintptr_t>(global) % size != 0 || shared_source) bad_copy(global, bytes, site);
  check_not_read("cp_async", shared, size, site);
  CudaThread& me = threads_[static_cast<size_t>(current_)];
  AsyncCopy copy{shared, bytes, style_ != Style::in_order && (random() >> 20 & 1), me.groups, site, {}};
  if (real) {
    race_.read(global, size, site);
    std::memcpy(copy.data, global, size);
  }
  race_.async_copy(shared, size, site);
  watch_.async_copy(shared, global, bytes, real, site);
  if (copy.landed) std::memcpy(shared, copy.data, size);
  else std::memset(shared, 0xff, size);
  me.copies.push_back(copy);
}

void Engine::async_wait(int groups_left) {
  CudaThread& me = threads_[static_cast<size_t>(current_)];
  size_t done = 0;
  for (; done < me.copies.size(); ++done) {
    const AsyncCopy& copy = me.copies[done];
    if (copy.group + static_cast<uint64_t>(groups_left) >= me.groups) break;
    race_.async_landed(copy.to, static_cast<size_t>(copy.bytes), copy.site);
    if (!copy.landed) std::memcpy(copy.to, copy.data, static_cast<size_t>(copy.bytes));
  }
  me.copies.erase(me.copies.begin(), me.copies.begin() + static_cast<ptrdiff_t>(done));
}

}  // namespace gan::simt::runtime
