// The watcher of device simt (kernels/simt/watch.h) and `gan kernels --watch`: small kernels whose requests
// can be counted by hand, then the command.
//
// Kernels first, then the tests in the same order. Every block has 32 threads unless it says otherwise, so
// that a request of each line is one warp's.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/gpu/gpu.cuh"
#include "kernels/kernels.h"
#include "kernels/simt/watch.h"
#include "tests/support/folder.h"
#include "tests/support/places.h"

namespace gan::simt {
namespace {

// ---- Global memory ------------------------------------------------------------------------------------

// (32,32), one block of 32 x 32 threads: warp y reads row y and writes column y.
__global__ void transpose_kernel(const float* in, float* out) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  out[x * 32 + y] = in[y * 32 + x];
}

template <class T>
__global__ void copy_kernel(const T* in, T* out, int stride, int offset) {
  const int i = static_cast<int>(threadIdx.x) * stride + offset;
  out[i] = in[i];
}

struct Triple {
  float x, y, z;
};

__global__ void bf16_kernel(const bf16* in, bf16* out) {
  out[threadIdx.x] = to_bf16(2 * to_float(in[threadIdx.x]));
}
__global__ void make_kernel(float4* out) { out[threadIdx.x] = make_float4(1, 2, 3, 4); }

__global__ void atomic_kernel(int* count, float* sum) {
  atomicAdd(count, 1);
  atomicAdd(sum, 0.5f);
}

// Neither the table, which is the host's, nor a thread's own array is memory of the GPU.
__global__ void private_kernel(const int* table, float* out) {
  float mine[4] = {1, 2, 3, 4};
  out[threadIdx.x] = mine[table[threadIdx.x] % 4];
}

// ---- Shared memory ------------------------------------------------------------------------------------

template <int pad>
__global__ void tiled_transpose_kernel(const float* in, float* out) {
  SHARED_ARRAY(float, tile, [32][32 + pad]);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  tile[y][x] = in[y * 32 + x];
  __syncthreads();
  out[y * 32 + x] = tile[x][y];
}

// Every lane writes element i and reads element i * stride.
template <class T>
__global__ void shared_kernel(T* out, int stride) {
  DYNAMIC_SHARED(T, buffer);
  for (int i = static_cast<int>(threadIdx.x); i < 32 * 16; i += 32) buffer[i] = T{};
  __syncthreads();
  out[threadIdx.x] = buffer[static_cast<int>(threadIdx.x) * stride];
}

// ---- Divergence ---------------------------------------------------------------------------------------

__global__ void halves_kernel(float* low, float* high, float* all) {
  const int lane = static_cast<int>(threadIdx.x);
  if (lane < 16) low[lane] = 1;
  else high[lane] = 2;
  all[lane] = 3;
}

// Lane l takes l % 4 + 1 turns.
__global__ void turns_kernel(const float* in, float* out) {
  float sum = 0;
  for (int i = 0; i <= static_cast<int>(threadIdx.x) % 4; ++i)
    sum += in[i * 32 + static_cast<int>(threadIdx.x)];
  out[threadIdx.x] = sum;
}

// Lane 0 skips the first turn, as the edge of a picture does. Its other turns are the others' own.
__global__ void skip_kernel(const float* in, float* out) {
  const int lane = static_cast<int>(threadIdx.x);
  float sum = 0;
  for (int i = 0; i < 4; ++i) {
    if (i == 0 && lane == 0) continue;
    sum += in[i * 32 + lane];
  }
  out[lane] = sum;
}

// A function that is called from two places by different lanes: two requests, not one.
float fetch(const float* from, int i) { return from[i]; }
__global__ void calls_kernel(const float* in, float* out) {
  const int lane = static_cast<int>(threadIdx.x);
  float value = 0;
  if (lane % 2) value = fetch(in, lane);
  else value = -fetch(in, lane);
  out[lane] = value;
}

__global__ void tail_kernel(float* out, int count) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < count) out[i] = 1;
}

// ---- Barriers and special units -----------------------------------------------------------------------

__global__ void barriers_kernel() {
  for (int i = 0; i < 3; ++i) __syncthreads();
  __syncwarp();
  if (threadIdx.x < 32) named_barrier_arrive(1, 64);
  else named_barrier_sync(1, 64);
  warp_sum(1.0f);
}

// Each lane copies 16 bytes; from lane 24 on zeros.
__global__ void async_kernel(const float4* in, float4* out) {
  SHARED_ARRAY(float4, stage, [32]);
  cp_async<16>(&stage[threadIdx.x], &in[threadIdx.x], threadIdx.x < 24);
  cp_async_commit();
  cp_async_wait<0>();
  out[threadIdx.x] = stage[threadIdx.x];
}

// Rows of 16 bytes, `pitch` bytes apart.
__global__ void tensor_kernel(float* out, int pitch) {
  DYNAMIC_SHARED(char, buffer);
  for (int i = static_cast<int>(threadIdx.x); i < 1024; i += 32) reinterpret_cast<float*>(buffer)[i] = 0;
  __syncthreads();
  FragmentA<bf16> a[2] = {};
  FragmentB<bf16> b[4] = {};
  FragmentD d[2][4] = {};
  ldmatrix<4>(a[0].word, buffer + static_cast<int>(threadIdx.x) * pitch);
  ldmatrix<2>(b[0].word, buffer + static_cast<int>(threadIdx.x) % 16 * 16);
  mma(d[0][0], a[0], b[0]);
  mma_tile(d, a, b);
  out[threadIdx.x] = d[0][0].value[0];
}

// ---- Helpers ------------------------------------------------------------------------------------------

// A buffer of device simt that the watcher knows.
template <class T>
struct Watched {
  T* data;
  Watched(const char* name, size_t count) : data(static_cast<T*>(memory.allocate(count * sizeof(T)))) {
    std::memset(static_cast<void*>(data), 0, count * sizeof(T));
    watch_buffer(name, data, count * sizeof(T));
  }
  ~Watched() {
    unwatch_buffer(data);
    memory.release(data);
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
};

// What the one launch since the last call did.
WatchedLaunch taken() {
  const auto launches = take_watched();
  REQUIRE(launches.size() == 1);
  return launches[0];
}

// The one row of this kind.
WatchedRow row(const WatchedLaunch& launch, const std::string& space, const std::string& what,
               const std::string& name) {
  std::vector<WatchedRow> found;
  for (const auto& r : launch.rows)
    if (r.space == space && r.what == what && r.name == name) found.push_back(r);
  CAPTURE(space + " " + what + " " + name);
  REQUIRE(found.size() == 1);
  return found[0];
}

template <class T>
WatchedLaunch watch_copy(int stride, int offset) {
  const size_t count = static_cast<size_t>(32 * stride + offset + 1);
  const Watched<T> in("in", count), out("out", count);
  launch(copy_kernel<T>, 1, 32, 0, nullptr, in.data, out.data, stride, offset);
  return taken();
}

// Passes and ideal passes of the strided read.
template <class T>
std::pair<uint64_t, uint64_t> shared_passes(int stride) {
  const Watched<T> out("out", 32);
  launch(shared_kernel<T>, 1, 32, 32 * 16 * sizeof(T), nullptr, out.data, stride);
  const auto read = row(taken(), "shared", "load", "dynamic");
  CHECK(read.requests == 1);
  CHECK(read.bytes_per_lane == sizeof(T));
  return {read.passes, read.ideal_passes};
}
using Passes = std::pair<uint64_t, uint64_t>;

}  // namespace

// ---- Known answers ------------------------------------------------------------------------------------

TEST_CASE("watch: a naive transpose writes 32 sectors with each request") {
  const Watched<float> in("in", 1024), out("out", 1024);
  launch(transpose_kernel, 1, dim3(32, 32), 0, nullptr, in.data, out.data);
  const auto seen = taken();
  CHECK(seen.rows.size() == 2);
  CHECK(seen.block.y == 32);
  CHECK(seen.at.find("tests/simt/test_watch.cpp:") == 0);
  const auto load = row(seen, "global", "load", "in"), store = row(seen, "global", "store", "out");
  CHECK(load.file == "tests/simt/test_watch.cpp");
  CHECK(load.line == store.line);
  CHECK(load.bytes_per_lane == 4);
  CHECK(load.requests == 32);
  CHECK(load.lanes == 1024);
  CHECK(load.bytes == 4096);
  CHECK(load.sectors == 32 * 4);
  CHECK(load.ideal_sectors == 32 * 4);
  CHECK(load.partial == 0);
  CHECK(store.requests == 32);
  CHECK(store.sectors == 32 * 32);
  CHECK(store.ideal_sectors == 32 * 4);
}

TEST_CASE("watch: sectors follow from addresses and sizes") {
  const auto sectors = [](const WatchedLaunch& seen) {
    const auto load = row(seen, "global", "load", "in"), store = row(seen, "global", "store", "out");
    CHECK(load.requests == 1);
    CHECK(load.sectors == store.sectors);
    CHECK(load.ideal_sectors == store.ideal_sectors);
    return Passes{load.sectors, load.ideal_sectors};
  };
  CHECK(sectors(watch_copy<float>(1, 0)) == Passes{4, 4});
  CHECK(sectors(watch_copy<float>(1, 1)) == Passes{5, 4});     // bytes 4 to 131
  CHECK(sectors(watch_copy<float>(2, 0)) == Passes{8, 4});     // every other word
  CHECK(sectors(watch_copy<float>(8, 0)) == Passes{32, 4});    // one word of each sector
  CHECK(sectors(watch_copy<float>(0, 5)) == Passes{1, 1});     // one word for all
  CHECK(sectors(watch_copy<float4>(1, 0)) == Passes{16, 16});  // 512 bytes
  CHECK(sectors(watch_copy<uint8_t>(1, 0)) == Passes{1, 1});
  CHECK(sectors(watch_copy<double>(1, 0)) == Passes{8, 8});
}

TEST_CASE("watch: a struct moves member by member") {
  const auto load = row(watch_copy<Triple>(1, 0), "global", "load", "in");
  CHECK(load.bytes_per_lane == 4);
  CHECK(load.requests == 3);
  CHECK(load.bytes == 3 * 128);
  CHECK(load.sectors == 3 * 12);  // words 12 bytes apart lie in all 12 sectors of the 384 bytes
  CHECK(load.ideal_sectors == 3 * 4);
}

TEST_CASE("watch: values handed from memory to functions, and from functions to memory, are seen") {
  const Watched<bf16> in("in", 32), out("out", 32);
  launch(bf16_kernel, 1, 32, 0, nullptr, in.data, out.data);
  const auto seen = taken();
  CHECK(row(seen, "global", "load", "in").bytes == 64);
  CHECK(row(seen, "global", "load", "in").sectors == 2);
  CHECK(row(seen, "global", "store", "out").bytes == 64);
  const Watched<float4> four("four", 32);
  launch(make_kernel, 1, 32, 0, nullptr, four.data);
  CHECK(row(taken(), "global", "store", "four").bytes == 512);
}

TEST_CASE("watch: an atomic operation is one request") {
  const Watched<int> count("count", 1);
  const Watched<float> sum("sum", 1);
  launch(atomic_kernel, 1, 32, 0, nullptr, count.data, sum.data);
  const auto seen = taken();
  CHECK(seen.rows.size() == 2);
  for (const char* name : {"count", "sum"}) {
    CHECK(row(seen, "global", "atomic", name).requests == 1);
    CHECK(row(seen, "global", "atomic", name).lanes == 32);
    CHECK(row(seen, "global", "atomic", name).sectors == 1);
    CHECK(row(seen, "global", "atomic", name).file == "tests/simt/test_watch.cpp");
  }
}

TEST_CASE("watch: memory of the host and of a thread is not global memory") {
  const std::vector<int> table(32, 1);
  const Watched<float> out("out", 32);
  launch(private_kernel, 1, 32, 0, nullptr, table.data(), out.data);
  const auto seen = taken();
  CHECK(seen.rows.size() == 1);
  CHECK(row(seen, "global", "store", "out").requests == 1);
}

TEST_CASE("watch: banks of shared memory") {
  const auto column_read = [](auto kernel) {
    const Watched<float> in("in", 1024), out("out", 1024);
    launch(kernel, 1, dim3(32, 32), 0, nullptr, in.data, out.data);
    const auto seen = taken();
    CHECK(row(seen, "global", "store", "out").sectors == 32 * 4);
    CHECK(row(seen, "shared", "store", "tile").passes == 32);
    CHECK(row(seen, "", "barrier", "__syncthreads").requests == 32);
    const auto read = row(seen, "shared", "load", "tile");
    CHECK(read.requests == 32);
    CHECK(read.ideal_passes == 32);
    return read.passes;
  };
  CHECK(column_read(tiled_transpose_kernel<0>) == 32 * 32);  // a column is one bank
  CHECK(column_read(tiled_transpose_kernel<1>) == 32);       // one word further with every row

  CHECK(shared_passes<float>(1) == Passes{1, 1});
  CHECK(shared_passes<float>(0) == Passes{1, 1});  // the same word goes to all
  CHECK(shared_passes<float>(2) == Passes{2, 1});
  CHECK(shared_passes<float>(3) == Passes{1, 1});  // odd strides reach all banks
  CHECK(shared_passes<float>(16) == Passes{16, 1});
  CHECK(shared_passes<uint8_t>(1) == Passes{1, 1});  // four lanes to a word
  CHECK(shared_passes<float2>(1) == Passes{2, 2});   // half warps
  CHECK(shared_passes<float2>(2) == Passes{4, 2});
  CHECK(shared_passes<float4>(1) == Passes{4, 4});  // quarter warps
  CHECK(shared_passes<float4>(2) == Passes{8, 4});
  CHECK(shared_passes<float4>(8) == Passes{32, 4});
}

TEST_CASE("watch: lanes that part and meet again") {
  {
    const Watched<float> low("low", 32), high("high", 32), all("all", 32);
    launch(halves_kernel, 1, 32, 0, nullptr, low.data, high.data, all.data);
    const auto seen = taken();
    for (const char* half : {"low", "high"}) {
      CHECK(row(seen, "global", "store", half).requests == 1);
      CHECK(row(seen, "global", "store", half).lanes == 16);
      CHECK(row(seen, "global", "store", half).partial == 1);
      CHECK(row(seen, "global", "store", half).sectors == 2);
    }
    CHECK(row(seen, "global", "store", "all").requests == 1);
    CHECK(row(seen, "global", "store", "all").lanes == 32);
    CHECK(row(seen, "global", "store", "all").partial == 0);
  }
  const Watched<float> in("in", 128), out("out", 32);
  {
    launch(turns_kernel, 1, 32, 0, nullptr, in.data, out.data);
    const auto seen = taken();
    const auto load = row(seen, "global", "load", "in");
    CHECK(load.requests == 4);
    CHECK(load.lanes == 32 + 24 + 16 + 8);
    CHECK(load.partial == 3);
    CHECK(row(seen, "global", "store", "out").requests == 1);
    CHECK(row(seen, "global", "store", "out").lanes == 32);
  }
  {
    launch(skip_kernel, 1, 32, 0, nullptr, in.data, out.data);
    const auto load = row(taken(), "global", "load", "in");
    CHECK(load.requests == 4);
    CHECK(load.lanes == 127);
    CHECK(load.partial == 1);
    CHECK(load.sectors == 16);  // every turn's 32 words are neighbours: nobody is a turn behind
  }
  {
    launch(calls_kernel, 1, 32, 0, nullptr, in.data, out.data);
    const auto seen = taken();
    std::vector<WatchedRow> loads;
    for (const auto& r : seen.rows)
      if (r.what == "load") loads.push_back(r);
    REQUIRE(loads.size() == 2);
    CHECK(loads[0].line == loads[1].line);
    REQUIRE(loads[0].from.size() == 1);
    CHECK(loads[0].from != loads[1].from);
    for (const auto& load : loads) {
      CHECK(load.requests == 1);
      CHECK(load.lanes == 16);
      CHECK(load.sectors == 4);  // every other word
      CHECK(load.ideal_sectors == 2);
    }
    CHECK(row(seen, "global", "store", "out").lanes == 32);
  }
}

TEST_CASE("watch: a last warp of 16 threads is whole, one with idle threads is partial") {
  const Watched<float> out("out", 96);
  launch(tail_kernel, 2, 48, 0, nullptr, out.data, 96);
  CHECK(row(taken(), "global", "store", "out").requests == 4);
  launch(tail_kernel, 2, 48, 0, nullptr, out.data, 96);
  CHECK(row(taken(), "global", "store", "out").partial == 0);
  launch(tail_kernel, 2, 48, 0, nullptr, out.data, 60);  // the second block has 12 threads at work
  const auto store = row(taken(), "global", "store", "out");
  CHECK(store.requests == 3);
  CHECK(store.lanes == 60);
  CHECK(store.partial == 1);
}

TEST_CASE("watch: barriers, shuffles") {
  launch(barriers_kernel, 1, 64, 0, nullptr);
  const auto seen = taken();
  CHECK(row(seen, "", "barrier", "__syncthreads").requests == 3 * 2);  // three turns of two warps
  CHECK(row(seen, "", "barrier", "__syncthreads").lanes == 3 * 64);
  CHECK(row(seen, "", "barrier", "__syncwarp").requests == 2);
  CHECK(row(seen, "", "barrier", "named_barrier_arrive").requests == 1);
  CHECK(row(seen, "", "barrier", "named_barrier_sync").requests == 1);
  const auto shuffle = row(seen, "", "shuffle", "__shfl_xor_sync");
  CHECK(shuffle.requests == 5 * 2);
  CHECK(shuffle.file == "kernels/gpu/gpu.cuh");
  REQUIRE(shuffle.from.size() == 1);
  CHECK(shuffle.from[0].find("tests/simt/test_watch.cpp:") == 0);
}

TEST_CASE("watch: asynchronous copies have two sides") {
  const Watched<float4> in("in", 32), out("out", 32);
  launch(async_kernel, 1, 32, 0, nullptr, in.data, out.data);
  const auto seen = taken();
  const auto from = row(seen, "global", "cp.async", "in"), to = row(seen, "shared", "cp.async", "stage");
  CHECK(from.line == to.line);
  CHECK(from.bytes_per_lane == 16);
  CHECK(from.requests == 1);
  CHECK(from.lanes == 24);
  CHECK(from.sectors == 12);
  CHECK(to.lanes == 32);
  CHECK(to.passes == 4);
  CHECK(to.ideal_passes == 4);
  CHECK(seen.static_shared_bytes == 512);
}

TEST_CASE("watch: matrix loads and products") {
  const Watched<float> out("out", 32);
  const auto passes = [&](int pitch) {
    launch(tensor_kernel, 1, 32, 4096, nullptr, out.data, pitch);
    const auto seen = taken();
    std::vector<WatchedRow> loads, products;
    for (const auto& r : seen.rows) {
      if (r.what == "ldmatrix") loads.push_back(r);
      if (r.what == "mma") products.push_back(r);
    }
    REQUIRE(loads.size() == 2);
    REQUIRE(products.size() == 2);
    CHECK(products[0].instructions == 1);
    CHECK(products[1].instructions == 8);  // a tile of 2 x 4
    CHECK(products[1].requests == 1);
    CHECK(loads[0].lanes == 32);
    CHECK(loads[0].ideal_passes == 4);
    CHECK(loads[1].lanes == 16);  // whose addresses count
    CHECK(loads[1].partial == 0);
    CHECK(loads[1].passes == 2);
    return loads[0].passes;
  };
  CHECK(passes(16) == 4);    // rows side by side
  CHECK(passes(128) == 32);  // all eight rows of a matrix in the same four banks
}

TEST_CASE("watch: launches are kept apart") {
  const Watched<float> out("out", 96);
  launch(tail_kernel, 1, 32, 0, nullptr, out.data, 32);
  launch(tail_kernel, 3, 32, 0, nullptr, out.data, 96);
  const auto launches = take_watched();
  REQUIRE(launches.size() == 2);
  CHECK(row(launches[0], "global", "store", "out").requests == 1);
  CHECK(row(launches[1], "global", "store", "out").requests == 3);
  CHECK(launches[1].grid.x == 3);
  CHECK(take_watched().empty());
}

// ---- The command --------------------------------------------------------------------------------------

namespace {

struct Result {
  int code;
  std::string text;  // of both outputs
};
Result run(const std::string& command) {
  FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  REQUIRE(pipe);
  std::string text;
  char part[4096];
  for (size_t n; (n = std::fread(part, 1, sizeof part, pipe)) > 0;) text.append(part, n);
  const int status = pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128, text};
}
const std::string kernels = tests::gan_binary + std::string(" kernels --watch ");

}  // namespace

// C (8,32) = A (8,4) B (4,32), one thread for each element: 256 threads, so warp w computes row w of C. In
// each of 4 turns a warp reads one element of A, the same for all lanes (1 sector), and 32 neighbours of B
// (128 bytes, 4 sectors); at the end it writes 32 neighbours of C.
TEST_CASE("watch: gan kernels --watch counts what can be counted by hand") {
  const auto result = run(kernels + "gemm=naive --shape m=8,n=32,k=4 --json");
  CAPTURE(result.text);
  REQUIRE(result.code == 0);
  const auto json = nlohmann::json::parse(result.text);
  CHECK(json["op"] == "gemm");
  CHECK(json["variant"] == "naive");
  CHECK(json["shape"]["m"] == "8");
  REQUIRE(json["launches"].size() == 1);
  CHECK(json["launches"][0]["grid"] == nlohmann::json({1, 1, 1}));
  CHECK(json["launches"][0]["block"] == nlohmann::json({256, 1, 1}));
  const std::map<std::string, std::array<int, 3>> expected = {
      {"load a", {8 * 4, 8 * 4, 8 * 4}}, {"load b", {8 * 4, 8 * 4 * 4, 8 * 4 * 4}}, {"store c", {8, 32, 32}}};
  CHECK(json["launches"][0]["rows"].size() == expected.size());
  for (const auto& r : json["launches"][0]["rows"]) {
    const auto& counts = expected.at(r["what"].get<std::string>() + " " + r["name"].get<std::string>());
    CHECK(r["space"] == "global");
    CHECK(r["requests"] == counts[0]);
    CHECK(r["sectors"] == counts[1]);
    CHECK(r["ideal_sectors"] == counts[2]);
    CHECK(r["lanes"] == counts[0] * 32);
    CHECK(r["bytes"] == counts[0] * 128);
    CHECK(r["partial"] == 0);
    const bool inner = r["what"] == "load";
    CHECK(r["file"] == (inner ? "kernels/gpu/gemm/1_naive.cu" : "kernels/gpu/family.cuh"));
    CHECK(r["code"].get<std::string>().find(inner ? "sum +=" : "to[i] =") == 0);
  }
}

// A compiler cache may hand over an object that was compiled in another checkout.
TEST_CASE("watch: no path of this checkout is in the debug information") {
  const std::filesystem::path folder = std::filesystem::path(tests::gan_binary).parent_path();
  std::ifstream stream(folder / "gan-watch", std::ios::binary);
  const std::string program{std::istreambuf_iterator<char>(stream), {}};
  CHECK(program.find(GAN_WATCH_ROOT "/") != std::string::npos);
  CHECK(program.find(folder.parent_path().string()) == std::string::npos);  // the folder of the build
  CHECK(program.find(std::string(tests::source_dir) + "/kernels") == std::string::npos);
}

// Each of these has every buffer of its operation in its table: an access that the compiler did not show
// would be missing.
TEST_CASE("watch: every variant of every operation can be watched, in both types") {
  const auto list = run(tests::gan_binary + std::string(" kernels --device simt --json"));
  size_t from = 0, watched = 0;
  while (from < list.text.size()) {
    const size_t end = list.text.find('\n', from);
    const auto variant = nlohmann::json::parse(list.text.substr(from, end - from));
    from = end + 1;
    const std::string name = variant["op"].get<std::string>() + "=" + variant["name"].get<std::string>();
    for (const std::string type : {"f32", "bf16"}) {
      if (variant["dtypes"].get<std::string>().find(type) == std::string::npos) continue;
      const bool large = name == "conv2d_bwd_weight=naive";  // a warp for each weight
      const auto result = run(kernels + name + " --json --dtype " + type + (large ? " --shape c=4,k=4" : ""));
      CAPTURE(name);
      CAPTURE(type);
      CAPTURE(result.text);
      REQUIRE(result.code == 0);
      const auto json = nlohmann::json::parse(result.text);
      CHECK(json["buffers"].size() >= 1);
      for (const auto& buffer : json["buffers"]) {
        bool seen = false;
        for (const auto& one : json["launches"])
          for (const auto& r : one["rows"]) seen |= r["space"] == "global" && r["name"] == buffer;
        CHECK_MESSAGE(seen, buffer.get<std::string>() << " is not accessed");
      }
      ++watched;
    }
  }
  CHECK(watched > 50);
}

TEST_CASE("watch: the table names lines, buffers and code") {
  const auto result = run(kernels + "gemm=tiled");
  REQUIRE(result.code == 0);
  for (const char* part : {"gemm=tiled, f32, m=64,n=64,k=64", "launch at kernels/gpu/tile.cuh:",
                           "shared store", "a_tile", "global load", "barrier", "__syncthreads", "in all: "})
    CHECK_MESSAGE(result.text.find(part) != std::string::npos, part);
}

TEST_CASE("watch: what cannot be watched is refused with a reason") {
  const auto refused = [](const std::string& arguments, const std::string& reason) {
    const auto result = run(kernels + arguments);
    CAPTURE(arguments);
    CAPTURE(result.text);
    CHECK(result.code == 2);
    CHECK(result.text.rfind("gan: error: ", 0) == 0);
    CHECK(result.text.find(reason) != std::string::npos);
    CHECK(result.text.find('\n') == result.text.size() - 1);
  };
  refused("gemm", "wants OPERATION=VARIANT");
  refused("gem=naive", "no such operation");
  refused("gemm=fast", "there are naive, tiled");
  refused("gemm=naive --shape m=0", "m must be a whole number from 1");
  refused("gemm=naive --shape rows=3", "gemm has no \"rows\"; it has m=64,n=64,k=64");
  refused("gemm=naive --shape 64,64", "key=value");
  refused("gemm=naive --shape m=1,m=2", "m is given twice");
  refused("gemm=naive --shape act=elu", "act must be one of none, relu");
  refused("gemm=naive --shape m=100000,k=1000", "more than 64 MB");
  refused("gemm=naive --shape m=3000,n=300,k=300", "too large a launch to watch");
  refused("gemm=naive --dtype f16", "--dtype must be f32 or bf16");
  refused("gemm=naive --device cuda", "--watch is for device simt");
  refused("norm_fwd=split --shape rows=8", "fewer than 1024 rows");
  refused("conv2d_fwd=naive --shape h=2,w=2,pad=0", "the kernel is larger than the picture");
}

TEST_CASE("watch: a folder's name is no shell text") {
  const tests::TemporaryFolder folder;
  const auto odd = folder.path() / "it's; touch owned; $(touch owned)";
  std::filesystem::create_directory(odd);
  for (const char* name : {"gan", "gan-watch"})
    std::filesystem::copy_file(std::filesystem::path(tests::gan_binary).parent_path() / name, odd / name);
  std::filesystem::create_symlink(odd / "gan", folder / "link");  // for the shell of this test alone
  const auto result =
      run("cd " + folder.path().string() + " && ./link kernels --watch gemm=naive --shape 4,4,4");
  CHECK(result.code == 0);
  CHECK(result.text.find("gemm/1_naive.cu") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder / "owned"));
}

TEST_CASE("watch: without its program beside it, gan says what is missing") {
  const tests::TemporaryFolder folder;
  std::filesystem::copy_file(tests::gan_binary, folder / "gan");
  const auto result = run((folder / "gan").string() + " kernels --watch gemm=naive");
  CHECK(result.code == 1);
  CHECK(result.text.find((folder / "gan-watch").string() + ": No such file or directory") !=
        std::string::npos);
  CHECK(result.text.find("--target gan-watch") != std::string::npos);
}

}  // namespace gan::simt
