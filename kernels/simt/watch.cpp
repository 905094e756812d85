// The watcher: trails of the threads, their walk in step, counting, and the way back to source lines. The
// idea and the rules are described in watch.h. Empty but for the watch build.
#include "kernels/simt/watch.h"

#if defined(GAN_SIMT_WATCH)
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "kernels/simt/hooks.h"

namespace gan::simt {
namespace runtime {
namespace {

struct Buffer {
  std::string name;
  uintptr_t begin, end;
};
std::vector<Buffer>& buffers() {
  static std::vector<Buffer> all;
  return all;
}

bool gave_up = false;

thread_local Watcher* active = nullptr;  // while threads of a block run on this OS thread

// While the watcher works it does not look: the standard library's templates that it uses may be copies that
// were instrumented.
struct Quiet {
  Watcher* const saved = active;
  Quiet() { active = nullptr; }
  ~Quiet() { active = saved; }
};

template <class Ranges>
int find_range(const Ranges& ranges, uintptr_t address) {
  for (size_t i = 0; i < ranges.size(); ++i)
    if (address >= ranges[i].begin && address < ranges[i].end) return static_cast<int>(i);
  return -1;
}

// ---- Counting one request -----------------------------------------------------------------------------

uint64_t sectors_of(const std::vector<uint64_t>& addresses, uint64_t bytes) {
  std::vector<uint64_t> sectors;
  for (uint64_t a : addresses)
    for (uint64_t s = a / 32; s <= (a + bytes - 1) / 32; ++s) sectors.push_back(s);
  std::sort(sectors.begin(), sectors.end());
  return static_cast<uint64_t>(std::unique(sectors.begin(), sectors.end()) - sectors.begin());
}

uint64_t ideal_sectors_of(std::vector<uint64_t> addresses, uint64_t bytes) {
  std::sort(addresses.begin(), addresses.end());
  uint64_t distinct = 0, seen = 0;  // up to where
  for (uint64_t a : addresses) {
    const uint64_t end = a + bytes;
    if (end > seen) distinct += end - std::max(a, seen);
    seen = std::max(seen, end);
  }
  return (distinct + 31) / 32;
}

// For the lanes of `served`, which go together.
uint64_t passes_of(const std::vector<uint64_t>& served, uint64_t bytes) {
  std::vector<uint64_t> words;
  for (uint64_t a : served)
    for (uint64_t w = a / 4; w <= (a + bytes - 1) / 4; ++w) words.push_back(w);
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  uint64_t in_bank[32] = {};
  for (uint64_t w : words) ++in_bank[w % 32];
  return *std::max_element(in_bank, in_bank + 32);
}

std::string_view kind_of(std::string_view operation) {
  if (operation.find("syncthreads") != operation.npos || operation.rfind("named_barrier", 0) == 0 ||
      operation == "__syncwarp" || operation.rfind("mbarrier", 0) == 0)
    return "barrier";
  if (operation.rfind("mma", 0) == 0) return "mma";
  if (operation.rfind("wgmma", 0) == 0) return "wgmma";
  if (operation == "tensor_copy") return "tensor copy";
  return operation.rfind("__shfl", 0) == 0 ? "shuffle" : "vote";
}

}  // namespace

// ---- Names of what threads pass -----------------------------------------------------------------------

size_t Watcher::StationHash::operator()(const Station& s) const {
  uint64_t x = (uint64_t{s.call} << 32 | s.place) * 0x9e3779b97f4a7c15u;
  x ^= (uint64_t{s.site} << 16 | static_cast<uint64_t>(s.kind) << 8 | s.bytes) * 0xbf58476d1ce4e5b9u;
  return x ^ (x >> 29);
}

struct Watcher::Names {
  std::vector<Call> calls{{0, 0}};
  std::unordered_map<uint64_t, uint32_t> call_numbers;
  std::vector<Station> stations;
  std::unordered_map<Station, uint32_t, StationHash> station_numbers;
  std::vector<KnownSite> sites;
  std::vector<uint32_t> rank;  // of each station in the order of the program

  // Where a call is, from the start of the thread.
  std::vector<uint32_t> path(uint32_t call) const {
    std::vector<uint32_t> places;
    for (; call; call = calls[call].parent) places.push_back(calls[call].place);
    std::reverse(places.begin(), places.end());
    return places;
  }
};

Watcher::Names& Watcher::names() {
  static Names all;
  return all;
}

std::vector<Watcher::Launch>& Watcher::launches() {
  static std::vector<Launch> all;
  return all;
}

uint32_t Watcher::site_of(Site site, const char* operation) {
  auto& sites = names().sites;
  for (size_t i = 0; i < sites.size(); ++i)
    if (sites[i].site.line == site.line && sites[i].operation == operation &&
        std::string_view(sites[i].site.file) == site.file)
      return static_cast<uint32_t>(i + 1);
  sites.push_back({site, operation});
  return static_cast<uint32_t>(sites.size());
}

// Orders stations by where they are: the calls from the outermost inwards, then the instruction. Operations
// that follow the same instruction come in the order in which they were first passed.
void Watcher::rank_stations() {
  Names& n = names();
  if (n.rank.size() == n.stations.size()) return;
  std::vector<std::vector<uint32_t>> where;
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < n.stations.size(); ++i) {
    where.push_back(n.path(n.stations[i].call));
    where.back().push_back(n.stations[i].place);
    order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return where[a] < where[b]; });
  n.rank.resize(order.size());
  for (uint32_t i = 0; i < order.size(); ++i) n.rank[order[i]] = i;
}

// ---- Life ---------------------------------------------------------------------------------------------

void Watcher::begin_launch(const LaunchShape& shape, int threads, const char* shared, size_t shared_bytes) {
  shared_ = reinterpret_cast<uintptr_t>(shared);
  shared_bytes_ = shared_bytes;
  threads_ = static_cast<uint32_t>(threads);
  trails_.resize(threads_);
  events_ = 0;
  launches().push_back({shape, 0, {}, {}});
}

void Watcher::begin_block() {
  for (Trail& t : trails_) {
    t.stations.clear();
    t.addresses.clear();
    t.call = t.place = 0;
  }
  if (!is_full()) active = this;
}

void Watcher::resume(int thread, const Fiber& fiber) {
  trail_ = &trails_[static_cast<size_t>(thread)];
  fiber_ = &fiber;
}

void Watcher::end_block() {
  active = nullptr;
  if (is_full()) {
    gave_up = true;
    return;
  }
  rank_stations();
  for (uint32_t first = 0; first < threads_; first += 32) walk(first, std::min(32u, threads_ - first));
}

bool Watcher::is_full() const { return events_ >= most_events; }

// ---- Trails -------------------------------------------------------------------------------------------

void Watcher::pass(Kind kind, uint32_t place, uint32_t site, size_t bytes, uint64_t address) {
  Names& n = names();
  const Station station{trail_->call, place, site, kind, static_cast<uint8_t>(bytes)};
  const auto [found, is_new] =
      n.station_numbers.try_emplace(station, static_cast<uint32_t>(n.stations.size()));
  if (is_new) n.stations.push_back(station);
  trail_->stations.push_back(found->second);
  if (has_address(kind)) trail_->addresses.push_back(address);
  trail_->place = place;
  if (++events_ >= most_events) active = nullptr;
}

void Watcher::call(const void* return_address) {
  Names& n = names();
  const uint32_t place = place_of(return_address);
  const auto [found, is_new] =
      n.call_numbers.try_emplace(uint64_t{trail_->call} << 32 | place, static_cast<uint32_t>(n.calls.size()));
  if (is_new) n.calls.push_back({trail_->call, place});
  trail_->call = found->second;
}

void Watcher::return_from_call() {
  const Call& from = names().calls[trail_->call];
  trail_->place = from.place;
  trail_->call = from.parent;
}

void Watcher::basic_block(const void* place) { pass(Kind::block, place_of(place), 0, 0, 0); }

void Watcher::access(const void* address, size_t bytes, bool together, bool writes, bool atomic,
                     const void* place) {
  const auto start = reinterpret_cast<uintptr_t>(address);
  if (start - shared_ >= shared_bytes_ && (fiber_->has_on_stack(address) || find_range(buffers(), start) < 0))
    return;
  const Kind kind = atomic ? Kind::atomic : writes ? Kind::store : Kind::load;
  // A struct moves member by member; its members are taken to be words where its size allows.
  const size_t piece = together ? bytes : bytes % 4 == 0 ? 4 : bytes % 2 == 0 ? 2 : 1;
  for (size_t done = 0; done < bytes; done += piece) pass(kind, place_of(place), 0, piece, start + done);
}

void Watcher::name_shared(const char* name, const char* array, size_t bytes) {
  const Quiet quiet;
  const auto begin = reinterpret_cast<uintptr_t>(array);
  Launch& launch = launches().back();
  launch.arrays.push_back({name, begin, begin + bytes});
  launch.static_shared_bytes += bytes;
}

void Watcher::barrier(const char* operation, Site site) { warp_operation(operation, site); }

void Watcher::warp_operation(const char* operation, Site site) {
  if (!active || std::string_view(operation).rfind("ldmatrix", 0) == 0) return;  // counted as matrix_load
  const Quiet quiet;
  pass(Kind::operation, trail_->place, site_of(site, operation), 0, 0);
}

void Watcher::matrix_load(const char* operation, const void* row, Site site) {
  if (!active) return;
  const Quiet quiet;
  pass(Kind::matrix_load, trail_->place, site_of(site, operation), 16, reinterpret_cast<uintptr_t>(row));
}

void Watcher::async_copy(void* shared, const void* global, int bytes, bool real, Site site) {
  if (!active) return;
  const Quiet quiet;
  const uint32_t number = site_of(site, "cp_async");
  const auto size = static_cast<size_t>(bytes);
  pass(Kind::async_load, trail_->place, number, size, real ? reinterpret_cast<uintptr_t>(global) : 0);
  pass(Kind::async_store, trail_->place, number, size, reinterpret_cast<uintptr_t>(shared));
}

void Watcher::tensor_row(const void* global, size_t bytes, Site site) {
  const auto start = reinterpret_cast<uintptr_t>(global);
  if (!active || find_range(buffers(), start) < 0) return;
  const Quiet quiet;
  pass(Kind::tensor_load, trail_->place, site_of(site, "tensor_copy"), bytes, start);
}

// ---- The walk of a warp -------------------------------------------------------------------------------

void Watcher::walk(uint32_t first_thread, uint32_t threads) {
  const std::vector<uint32_t>& rank = names().rank;
  const std::vector<Station>& stations = names().stations;
  size_t next[32] = {}, next_address[32] = {};
  for (;;) {
    uint32_t lowest = ~0u, lanes = 0, station = 0;
    for (uint32_t lane = 0; lane < threads; ++lane) {
      const Trail& trail = trails_[first_thread + lane];
      if (next[lane] == trail.stations.size()) continue;
      const uint32_t here = trail.stations[next[lane]];
      if (rank[here] < lowest) lowest = rank[here], lanes = 0, station = here;
      if (rank[here] == lowest) lanes |= 1u << lane;
    }
    if (!lanes) return;
    const Kind kind = stations[station].kind;
    uint64_t addresses[32] = {};
    uint32_t taking_part = lanes;
    for (uint32_t lane = 0; lane < threads; ++lane) {
      if (!(lanes >> lane & 1)) continue;
      ++next[lane];
      if (!has_address(kind)) continue;
      addresses[lane] = trails_[first_thread + lane].addresses[next_address[lane]++];
      if (!addresses[lane]) taking_part &= ~(1u << lane);
    }
    if (kind != Kind::block && taking_part) count(station, threads, taking_part, addresses);
  }
}

void Watcher::count(uint32_t number, uint32_t existing, uint32_t lanes, const uint64_t (&addresses)[32]) {
  Launch& launch = launches().back();
  const Station& station = names().stations[number];
  const auto active_lanes = static_cast<uint32_t>(__builtin_popcount(lanes));
  const bool whole_warp = active_lanes == existing || station.kind == Kind::matrix_load ||
                          station.kind == Kind::tensor_load;  // asked for by one thread
  const uint64_t bytes = station.bytes;
  if (station.kind == Kind::operation) {
    WatchedRow& row = launch.rows[{number, 0}];
    ++row.requests;
    row.lanes += active_lanes;
    row.partial += !whole_warp;
    const std::string_view operation = names().sites[station.site - 1].operation;
    row.instructions += operation == "mma_tile" ? 8 : 1;
    return;
  }
  // Nearly always all lanes access one buffer; if not, each buffer gets a request of its own.
  uint32_t rest = lanes;
  while (rest) {
    const auto buffer_of = [&](int lane) {
      const uint64_t a = addresses[lane];
      if (a - shared_ >= shared_bytes_) return find_range(buffers(), a);
      return -2 - find_range(launch.arrays, a);  // -1: dynamic shared memory
    };
    const int buffer = buffer_of(__builtin_ctz(rest));
    std::vector<uint64_t> all, served;
    uint32_t together = 0;
    for (uint32_t lane = 0; lane < 32; ++lane)
      if (rest >> lane & 1 && buffer_of(static_cast<int>(lane)) == buffer) {
        together |= 1u << lane;
        all.push_back(addresses[lane]);
      }
    rest &= ~together;
    WatchedRow& row = launch.rows[{number, buffer}];
    ++row.requests;
    ++row.instructions;
    row.lanes += all.size();
    row.partial += !whole_warp;
    row.bytes += all.size() * bytes;
    if (buffer >= 0) {
      row.sectors += sectors_of(all, bytes);
      row.ideal_sectors += ideal_sectors_of(all, bytes);
      continue;
    }
    const uint32_t at_once = bytes <= 4 ? 32 : bytes <= 8 ? 16 : 8;
    for (uint32_t first = 0; first < 32; first += at_once) {
      served.clear();
      for (uint32_t lane = first; lane < first + at_once; ++lane)
        if (together >> lane & 1) served.push_back(addresses[lane]);
      if (served.empty()) continue;
      row.passes += passes_of(served, bytes);
      ++row.ideal_passes;
    }
  }
}

// ---- From hooks to the running watcher ----------------------------------------------------------------

void note_access(const void* address, size_t bytes, bool together, HookKind kind, const void* place) {
  if (!active || kind == HookKind::atomic_read) return;  // the atomic operation that follows is the request
  Watcher* const watcher = active;
  active = nullptr;
  watcher->access(address, bytes, together, kind == HookKind::write, kind == HookKind::atomic, place);
  if (!watcher->is_full()) active = watcher;
}
void note_call(const void* return_address) {
  if (!active) return;
  const Quiet quiet;
  quiet.saved->call(return_address);
}
void note_return() {
  if (!active) return;
  const Quiet quiet;
  quiet.saved->return_from_call();
}
void note_basic_block(const void* place) {
  if (!active) return;
  Watcher* const watcher = active;
  active = nullptr;
  watcher->basic_block(place);
  if (!watcher->is_full()) active = watcher;
}

}  // namespace runtime

// ---- What the watcher has seen ------------------------------------------------------------------------

void watch_buffer(const std::string& name, const void* data, size_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(data);
  runtime::buffers().push_back({name, begin, begin + bytes});
}

void unwatch_buffer(const void* data) {
  for (auto& buffer : runtime::buffers())  // its name stays for the report
    if (buffer.begin == reinterpret_cast<uintptr_t>(data)) buffer.end = buffer.begin;
}

bool was_too_large_to_watch() { return runtime::gave_up; }

std::vector<WatchedLaunch> take_watched() {
  using runtime::Watcher;
  const auto& names = Watcher::names();
  // Relative to the source folder, which the compiler has called GAN_WATCH_ROOT (CMakeLists.txt); what the
  // kernel files were given as a relative path is relative to the folder of the build.
  const auto relative = [](const std::string& line) {
    constexpr std::string_view root = GAN_WATCH_ROOT "/";
    std::string path = std::filesystem::path(line).lexically_normal();
    while (path.rfind("../", 0) == 0) path.erase(0, 3);
    return path.rfind(root, 0) == 0 ? path.substr(root.size()) : path;
  };

  // All instructions at once: starting addr2line is the slow part.
  std::map<uint32_t, std::vector<std::string>> lines_of;
  for (const auto& launch : Watcher::launches())
    for (const auto& [key, counts] : launch.rows) {
      const auto& station = names.stations[key.station];
      if (!station.site) lines_of[station.place];
      for (uint32_t place : names.path(station.call)) lines_of[place];
    }
  std::vector<uint32_t> places;
  for (const auto& [place, lines] : lines_of) places.push_back(place);
  const auto looked_up = runtime::source_lines(places);
  for (size_t i = 0; i < places.size(); ++i)
    for (const std::string& line : looked_up[i])
      if (const std::string path = relative(line); path[0] != '/')  // else: the standard library
        lines_of[places[i]].push_back(path);

  std::vector<WatchedLaunch> result;
  for (const auto& launch : Watcher::launches()) {
    const runtime::LaunchShape& shape = launch.shape;
    WatchedLaunch watched{relative(fmt::format("{}:{}", shape.site.file, shape.site.line)),
                          shape.grid,
                          shape.block,
                          shape.dynamic_shared_bytes,
                          launch.static_shared_bytes,
                          {}};
    for (const auto& [key, counts] : launch.rows) {
      const auto& station = names.stations[key.station];
      std::vector<std::string> chain;  // innermost first
      WatchedRow row = counts;
      row.bytes_per_lane = station.bytes;
      using Kind = Watcher::Kind;
      switch (station.kind) {
        case Kind::load: row.what = "load"; break;
        case Kind::store: row.what = "store"; break;
        case Kind::atomic: row.what = "atomic"; break;
        case Kind::async_load:
        case Kind::async_store: row.what = "cp.async"; break;
        case Kind::matrix_load: row.what = "ldmatrix"; break;
        case Kind::tensor_load: row.what = "tensor copy"; break;
        default: break;
      }
      if (station.site) {
        const auto& known = names.sites[station.site - 1];
        chain.push_back(relative(fmt::format("{}:{}", known.site.file, known.site.line)));
        if (station.kind == Kind::operation) {
          row.what = runtime::kind_of(known.operation);
          row.name = known.operation;
        }
      } else {
        chain = lines_of[station.place];
      }
      const auto path = names.path(station.call);
      for (auto place = path.rbegin(); place != path.rend(); ++place)
        chain.insert(chain.end(), lines_of[*place].begin(), lines_of[*place].end());
      if (station.kind != Kind::operation) {
        row.space = key.buffer >= 0 ? "global" : "shared";
        row.name = key.buffer >= 0    ? runtime::buffers()[static_cast<size_t>(key.buffer)].name
                   : key.buffer == -1 ? "dynamic"
                                      : launch.arrays[static_cast<size_t>(-2 - key.buffer)].name;
      }
      if (chain.empty())
        fail(Exit::failure,
             "no source line is known for an instruction: this needs the program addr2line (package "
             "binutils) and a program that was not stripped");
      const size_t colon = chain[0].rfind(':');
      row.file = chain[0].substr(0, colon);
      row.line = std::atoi(chain[0].c_str() + colon + 1);
      // What launch() itself consists of.
      while (chain.size() > 1 && chain.back().rfind("kernels/gpu/gpu.cuh:", 0) == 0) chain.pop_back();
      if (chain.size() > 1 && chain[1] == chain[0]) chain.erase(chain.begin());  // the call of an operation
      row.from.assign(chain.begin() + 1, chain.end());

      // The same line may have become several instructions: copies of a function, both sides of a branch.
      const auto same = std::find_if(watched.rows.begin(), watched.rows.end(), [&](const WatchedRow& other) {
        return other.file == row.file && other.line == row.line && other.from == row.from &&
               other.space == row.space && other.what == row.what && other.name == row.name &&
               other.bytes_per_lane == row.bytes_per_lane;
      });
      if (same == watched.rows.end()) {
        watched.rows.push_back(std::move(row));
        continue;
      }
      for (auto count : {&WatchedRow::requests, &WatchedRow::lanes, &WatchedRow::partial, &WatchedRow::bytes,
                         &WatchedRow::sectors, &WatchedRow::ideal_sectors, &WatchedRow::passes,
                         &WatchedRow::ideal_passes, &WatchedRow::instructions})
        (*same).*count += row.*count;
    }
    std::stable_sort(watched.rows.begin(), watched.rows.end(), [](const WatchedRow& a, const WatchedRow& b) {
      return std::tie(a.file, a.line, a.from) < std::tie(b.file, b.line, b.from);
    });
    result.push_back(std::move(watched));
  }
  Watcher::launches().clear();
  return result;
}

}  // namespace gan::simt
#endif
