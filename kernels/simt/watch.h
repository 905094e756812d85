// The watcher: what the memory system and the special units of a GPU would be asked for by a kernel, counted
// per source line: sectors of global memory, passes over the banks of shared memory, tensor-core products,
// barriers, lanes that take part. It counts requests; it knows no time.
//
// Only in the watch build (GAN_SIMT_WATCH), the one of the program gan-watch, which `gan kernels --watch`
// runs; elsewhere the class below is empty and costs nothing. Kernel files are compiled there as hooks.h says
// and at -O0, so that each access of the source is one call: higher levels split and merge them. A GPU's
// compiler may do the same: it may load once what a line reads twice, or keep it in a register.
//
// Lanes of a warp that execute an access together make one request. Here threads run one after another, so
// each leaves a trail of the basic blocks, accesses and operations that it passed; when a block of the grid
// has ended the trails of each warp are walked in step: whatever lies lowest in the program goes first, and
// lanes that are at the same instruction go together. Since -O0 keeps the order of the source, lanes that
// have skipped something wait where the paths meet again, as they do on a GPU (Collange, "Stack-less SIMT
// reconvergence at low cost", 2011).
//
// Rules for counting (CUDA C++ Programming Guide, CUDA C++ Best Practices Guide):
//   sectors  global memory moves in pieces of 32 bytes at multiples of 32; ideal: as many as the distinct
//            bytes fill
//   passes   shared memory has 32 banks of 4 bytes; a request of at most 4 bytes a lane is served for the
//            whole warp at once, of 8 for half of it, of 16 for a quarter. Each takes as many passes as one
//            bank has distinct words to give; ideal: one
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/simt/fiber.h"
#include "kernels/simt/simt.h"

namespace gan::simt {

// ---- What the watcher has seen ------------------------------------------------------------------------

// One kind of request of one line. Counts are sums over the launch.
struct WatchedRow {
  std::string file;  // "kernels/gpu/gemm.cu", from the source folder
  int line = 0;
  std::vector<std::string> from;  // the calls that led there, up to the kernel: "kernels/gpu/norm.cu:40"
  std::string space;              // "global", "shared", or "" for an operation of a warp or block
  // "load", "store", "atomic", "cp.async", "tensor copy", "ldmatrix"; "mma", "wgmma", "barrier", "shuffle", "vote"
  std::string what;
  std::string name;  // the buffer's, the shared array's or the operation's
  int bytes_per_lane = 0;
  uint64_t requests = 0;                    // of warps
  uint64_t lanes = 0;                       // that took part
  uint64_t partial = 0;                     // requests without some of the warp's threads (divergence, tails)
  uint64_t bytes = 0;                       // asked for by the lanes, overlaps counted each time
  uint64_t sectors = 0, ideal_sectors = 0;  // global
  uint64_t passes = 0, ideal_passes = 0;    // shared
  uint64_t instructions = 0;                // mma: 8 for each mma_tile; else as requests
};

struct WatchedLaunch {
  std::string at;  // "kernels/gpu/gemm.cu:60", the launch() call
  dim3 grid, block;
  size_t dynamic_shared_bytes = 0, static_shared_bytes = 0;
  std::vector<WatchedRow> rows;  // by file and line
};

#if defined(GAN_SIMT_WATCH)

// Accesses to [data, data + bytes) count as global memory of that name. Buffers must not overlap. All other
// memory that is not shared is the host's, or a thread's own, and does not count.
void watch_buffer(const std::string& name, const void* data, size_t bytes);
void unwatch_buffer(const void* data);

// The launches since the last call, in order; looks up source lines. File names are relative to the source
// folder. Throws when the program addr2line or the debug information is missing.
std::vector<WatchedLaunch> take_watched();

// Whether a launch was given up (gan::simt::Error) because it was too large.
bool was_too_large_to_watch();

namespace runtime {

inline constexpr bool watch_build = true;

class Watcher {
 public:
  // Life: for each launch, for each of its blocks, for each switch to a thread.
  void begin_launch(const LaunchShape& shape, int threads, const char* shared, size_t shared_bytes);
  void begin_block();
  void resume(int thread, const Fiber& fiber);
  void end_block();

  // True once a launch has turned out to be too large; nothing is recorded any more.
  bool is_full() const;
  static constexpr uint64_t most_events = 50'000'000;  // per launch: seconds, and hundreds of megabytes

  // By the run time for the running thread.
  void name_shared(const char* name, const char* array, size_t bytes);
  void barrier(const char* operation, Site site);
  void warp_operation(const char* operation, Site site);
  void matrix_load(const char* operation, const void* row, Site site);
  void async_copy(void* shared, const void* global, int bytes, bool real, Site site);
  void tensor_row(const void* global, size_t bytes, Site site);  // of the box of a tensor copy: a request

  // By instrumented code.
  void access(const void* address, size_t bytes, bool together, bool writes, bool atomic, const void* place);
  void call(const void* return_address);
  void return_from_call();
  void basic_block(const void* place);

 private:
  enum class Kind : uint8_t {
    block,
    load,
    store,
    atomic,
    async_load,
    async_store,
    matrix_load,
    tensor_load,
    operation
  };
  static bool has_address(Kind kind) { return kind != Kind::block && kind != Kind::operation; }

  // A function and where it was called from; number 0 stands for the start of the thread.
  struct Call {
    uint32_t parent, place;
  };
  // Something a thread can pass. Two lanes are at the same instruction when they are at the same one of
  // these.
  struct Station {
    uint32_t call, place;  // place: the instruction, or the one passed last before an operation
    uint32_t site;         // 0, or 1 + index of a line and operation that the run time was told
    Kind kind;
    uint8_t bytes;  // <= 16; of a tensor_load <= 128
    auto operator<=>(const Station&) const = default;
  };
  struct StationHash {
    size_t operator()(const Station& s) const;
  };
  struct KnownSite {
    Site site;
    const char* operation;
  };
  struct Trail {
    std::vector<uint32_t> stations;
    std::vector<uint64_t> addresses;  // of the stations that have one; 0: this lane does not take part
    uint32_t call, place;
  };
  struct RowKey {
    uint32_t station;
    int buffer;  // index of a buffer; -1 dynamic shared memory; -2 - index of a shared array
    auto operator<=>(const RowKey&) const = default;
  };
  struct SharedArray {
    std::string name;
    uintptr_t begin, end;
  };
  struct Launch {
    LaunchShape shape;
    size_t static_shared_bytes;
    std::vector<SharedArray> arrays;
    std::map<RowKey, WatchedRow> rows;  // without lines
  };

  void pass(Kind kind, uint32_t place, uint32_t site, size_t bytes, uint64_t address);
  uint32_t site_of(Site site, const char* operation);
  void rank_stations();
  void walk(uint32_t first_thread, uint32_t threads);
  void count(uint32_t station, uint32_t existing, uint32_t lanes, const uint64_t (&addresses)[32]);

  friend std::vector<WatchedLaunch> gan::simt::take_watched();
  static std::vector<Launch>& launches();
  struct Names;  // what outlives a launch: calls, stations, sites
  static Names& names();

  uintptr_t shared_ = 0, shared_bytes_ = 0;
  uint32_t threads_ = 0;
  const Fiber* fiber_ = nullptr;
  std::vector<Trail> trails_;  // by thread of the block
  Trail* trail_ = nullptr;     // of the running one
  uint64_t events_ = 0;        // of the launch
};

}  // namespace runtime

#else

namespace runtime {

inline constexpr bool watch_build = false;

class Watcher {
 public:
  void begin_launch(const LaunchShape&, int, const char*, size_t) {}
  void begin_block() {}
  void resume(int, const Fiber&) {}
  void end_block() {}
  bool is_full() const { return false; }
  static constexpr uint64_t most_events = 0;
  void name_shared(const char*, const char*, size_t) {}
  void barrier(const char*, Site) {}
  void warp_operation(const char*, Site) {}
  void matrix_load(const char*, const void*, Site) {}
  void async_copy(void*, const void*, int, bool, Site) {}
  void tensor_row(const void*, size_t, Site) {}
};

}  // namespace runtime
#endif

}  // namespace gan::simt
