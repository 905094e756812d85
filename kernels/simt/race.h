// The race detector of the emulation: finds accesses to the same memory that nothing puts in order.
//
// Only in the race build (preset simt-race, GAN_SIMT_RACE); elsewhere the class below is empty and costs
// nothing. hooks.h says how it comes to know of every access.
//
// The method is that of FastTrack (Flanagan and Freund, PLDI 2009): each CUDA thread counts its own
// synchronisations (its clock) and knows up to which count of each other thread it is ordered behind that
// one. Each piece of memory remembers its last write and some last reads with the clock of their threads. An
// access races with a remembered one when the thread does not know of that clock. What orders memory:
// __syncthreads (all threads), __syncwarp (the lanes of its mask), named barriers (who comes with who waits),
// mbarriers (who arrives with who passes the phase), and for asynchronous copies the wait. Shuffles, votes and mma do not,
// as in CUDA. Nothing orders blocks of
// a grid, and atomics only do not race among themselves. The verdict hardly depends on the schedule.
//
// Units that read shared memory on their own (TMA stores, wgmma) see ordinary writes only behind a proxy
// fence (PTX: "Async proxy", fence.proxy.async): one that stands between the write and the read in the order
// above. A second clock follows what has passed such a fence. What a unit itself has written needs none.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/simt/fiber.h"
#include "kernels/simt/simt.h"

namespace gan::simt::runtime {

// For each thread of the block: up to which count everything that it did is known.
using Clock = std::vector<uint32_t>;

// What the threads that come to a named barrier hand to those that pass it.
struct Handover {
  Clock known, fenced;
};

// Abandons the running CUDA thread; launch() will throw what report() returns.
[[noreturn]] void fail_with_race();

#if defined(GAN_SIMT_RACE)
inline constexpr bool race_build = true;

class RaceDetector {
 public:
  // Life: for each launch, for each of its blocks, for each switch to a thread. Only between begin_block()
  // and end_block(), and on the OS thread that called them, accesses of instrumented code are looked at.
  void begin_launch(int threads, dim3 block, dim3 grid, const char* shared, size_t shared_bytes);
  void begin_block(uint64_t block);
  void resume(int thread, const Fiber& fiber);
  void end_block();

  // What orders memory. Each is called when the last thread has come and none has gone on yet; arrive() is
  // called by each thread that comes, pass() for the lanes that go on.
  void block_barrier();
  void sync_warp(int warp, uint32_t lanes);
  void arrive(Handover& handover);
  void pass(int warp, uint32_t lanes, const Handover& handover);
  void proxy_fence();

  // Accesses by the run time for the running thread.
  void read(const void* address, size_t bytes, Site site);
  void async_copy(const void* to, size_t bytes, Site site);    // from now on nobody may touch it
  void async_landed(const void* to, size_t bytes, Site site);  // now it is an ordinary write
  void async_proxy_read(const void* address, size_t bytes, Site site);
  // An operation on an mbarrier: those do not race with each other, but with its initialisation, a write.
  void mbarrier_access(const void* barrier, bool initialises, Site site);
  // A unit's copy to shared memory: until it has landed nobody may touch it, and then who has passed the mbarrier may.
  // Returns the clock of the start.
  uint32_t unit_copy_started(const void* to, size_t bytes, Site site);
  void unit_copy_landed(const void* to, size_t bytes, Site site, int thread, uint32_t clock,
                        Handover& handover);
  // A unit's reading of 16 bytes for a thread: from its start to its end nobody may write there.
  void unit_read_started(int thread, const void* address, Site site);
  void unit_read_ended(int thread, const void* address, Site site);

  // Accesses by instrumented code; place: the address of the instruction. is_variable(): threadIdx and its
  // sisters are variables of the emulation, but no memory for CUDA.
  static bool is_variable(const void* address);
  bool is_near_variables(const void* address) const {
    return reinterpret_cast<uintptr_t>(address) - variables_ < variables_bytes_;
  }
  // async: a copy that has not landed. unit: a write by an asynchronous unit.
  enum class Kind : uint16_t { read, write, atomic, async, unit };
  void access(const void* address, size_t bytes, Kind kind, const void* place);

  // What fail_with_race() is about; looks up source lines. Called on the OS thread's own stack.
  std::string report() const;

 private:
  // Two words, which stay in registers: place says where in the program (encode() in race.cpp).
  class Access {
   public:
    Access() = default;
    Access(uint32_t clock, uint32_t place, uint32_t block, uint32_t thread, Kind kind)
        : what_(uint64_t{place} << 32 | clock), who_(uint64_t{block} << 32 | thread << 16 | uint32_t(kind)) {}

    uint32_t clock() const { return static_cast<uint32_t>(what_); }  // 0: no access at all
    uint32_t place() const { return static_cast<uint32_t>(what_ >> 32); }
    uint32_t block() const { return static_cast<uint32_t>(who_ >> 32); }
    uint32_t thread() const { return static_cast<uint16_t>(who_ >> 16); }
    Kind kind() const { return static_cast<Kind>(who_); }
    bool is_of_thread(const Access& other) const { return (who_ ^ other.who_) >> 16 == 0; }
    bool is_of_warp(const Access& other) const { return (who_ ^ other.who_) >> 21 == 0; }

   private:
    uint64_t what_ = 0, who_ = 0;
  };
  static constexpr int kept_reads = 3;
  struct Cell {
    Access write, reads[kept_reads];
  };
  struct Page {
    uint64_t generation = 0;  // contents count only when it is the current launch's or block's
    int shift = 4;            // there is a cell for 1 << shift bytes
    std::vector<Cell> cells;
    Cell& at(uintptr_t address);
    void begin(uint64_t now);
    void split();
  };

  void touch(uintptr_t address, size_t bytes, Access now);
  void touch_cell(Cell& cell, uintptr_t address, bool shared, Access now);
  static void keep_read(Cell& cell, Access now);
  Page& page_of(uintptr_t address, bool shared);
  Page* global_page(uintptr_t number);
  Access access_now(Kind kind, uint32_t place) const;
  bool ordered(Access before) const;
  void check_fenced(uintptr_t start, size_t bytes, Access now);
  [[noreturn]] void found(uintptr_t address, bool shared, Access before, Access now);

  uint32_t threads_ = 0;
  dim3 block_size_, grid_;
  uintptr_t shared_ = 0, shared_bytes_ = 0;
  uintptr_t variables_ = 0, variables_bytes_ = 0;  // where threadIdx and its sisters lie, and maybe others
  uint32_t block_ = 0;
  uint32_t thread_ = 0;
  uint64_t generation_ = 0, launch_generation_ = 0;

  Clock count_;               // (threads): each thread's own
  Clock base_;                // (threads): known to all since the last barrier of the block
  std::vector<Clock> knows_;  // (threads)(threads), rows empty until used: known to one beyond base_
  // The same for what a proxy fence has passed on.
  Clock fenced_base_;
  std::vector<Clock> fenced_;

  std::vector<Page> shared_pages_;
  std::unordered_map<uintptr_t, Page> global_pages_;
  struct Near {
    uintptr_t number = 0;
    Page* page = nullptr;
  };
  std::array<Near, 64> near_;  // the pages that were used last, by the end of their numbers

  struct Found {
    uintptr_t address;
    bool shared;
    Access before, now;
    bool unfenced = false;   // no race: a proxy fence is missing
    bool under_way = false;  // the access before is a unit's reading that has not ended
  } found_{};

  struct UnitRead {
    int count = 0;
    Access start;
  };
  std::vector<UnitRead> unit_reads_;  // for each 16 bytes of shared memory
  int units_reading_ = 0;             // the sum of the counts
};

#else
inline constexpr bool race_build = false;

class RaceDetector {
 public:
  void begin_launch(int, dim3, dim3, const char*, size_t) {}
  void begin_block(uint64_t) {}
  void resume(int, const Fiber&) {}
  void end_block() {}
  void block_barrier() {}
  void sync_warp(int, uint32_t) {}
  void arrive(Handover&) {}
  void pass(int, uint32_t, const Handover&) {}
  void proxy_fence() {}
  void read(const void*, size_t, Site) {}
  void async_copy(const void*, size_t, Site) {}
  void async_landed(const void*, size_t, Site) {}
  void async_proxy_read(const void*, size_t, Site) {}
  void mbarrier_access(const void*, bool, Site) {}
  uint32_t unit_copy_started(const void*, size_t, Site) { return 0; }
  void unit_copy_landed(const void*, size_t, Site, int, uint32_t, Handover&) {}
  void unit_read_started(int, const void*, Site) {}
  void unit_read_ended(int, const void*, Site) {}
  std::string report() const { return {}; }
};
#endif

}  // namespace gan::simt::runtime
