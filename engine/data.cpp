// Finding, decoding and dealing out pictures.
#include "engine/data.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "engine/comics.h"
#include "engine/ops.h"
#include "kernels/philox.h"

namespace gan {

namespace fs = std::filesystem;

std::array<uint8_t, 3> parse_colour(const std::string& text) {
  if (text == "white") return {255, 255, 255};
  if (text == "black") return {0, 0, 0};
  std::array<uint8_t, 3> colour{};
  const std::string digits = text.starts_with('#') ? text.substr(1) : text;
  const bool hexadecimal =
      digits.size() == 6 && digits.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (!hexadecimal) fail(Exit::usage, "`{}` is no colour: white, black or RRGGBB, for example ffcc00", text);
  for (int i = 0; i < 3; ++i) colour[i] = uint8_t(std::stoi(digits.substr(size_t(2 * i), 2), nullptr, 16));
  return colour;
}

std::vector<fs::path> list_pictures(const fs::path& folder) {
  std::error_code error;
  const auto status = fs::status(folder, error);
  if (!fs::exists(status)) fail(Exit::bad_data, "{}: no such folder", folder.string());
  if (!fs::is_directory(status))
    fail(Exit::bad_data, "{}: not a folder; give the folder that holds the pictures", folder.string());
  std::vector<fs::path> files;
  size_t others = 0;
  auto walk = fs::recursive_directory_iterator(folder, error);
  for (; !error && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    std::error_code ignored;
    if (walk->is_directory(ignored)) continue;
    if (looks_like_image(walk->path())) files.push_back(walk->path());
    else ++others;
  }
  if (error) fail(Exit::bad_data, "{}: cannot be listed: {}", folder.string(), error.message());
  if (files.empty())
    fail(Exit::bad_data, "{}: no pictures here (.jpg .jpeg .png .bmp .pbm .pgm .ppm .pnm){}", folder.string(),
         others ? fmt::format(", only {} other files", others) : ", the folder is empty");
  std::sort(files.begin(), files.end(), [&](const fs::path& a, const fs::path& b) {
    return a.lexically_relative(folder).native() < b.lexically_relative(folder).native();
  });
  return files;
}

namespace {
int thread_count(int workers) {
  return workers > 0 ? workers : std::max(1, int(std::thread::hardware_concurrency()));
}
}  // namespace

void parallel_for(int64_t count, int workers, const std::function<void(int64_t)>& f) {
  std::atomic<int64_t> next{0};
  std::exception_ptr problem;
  std::mutex mutex;
  auto work = [&] {
    for (int64_t i; (i = next++) < count;) {
      try {
        f(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!problem) problem = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int t = 1; t < std::min<int64_t>(thread_count(workers), count); ++t) threads.emplace_back(work);
  work();
  for (auto& thread : threads) thread.join();
  if (problem) std::rethrow_exception(problem);
}

namespace {

// A random order of 0..count-1, a function of (seed, step) alone (Fisher & Yates).
std::vector<int32_t> permutation(int64_t count, uint64_t seed, uint32_t step) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) order[size_t(i)] = int32_t(i);
  for (int64_t i = count - 1; i > 0; --i) {
    const Philox4 r = random_bits(seed, uint32_t(RandomStream::order), step, uint64_t(i));
    const uint64_t bits = uint64_t(r.v[0]) << 32 | r.v[1];
    const int64_t j = int64_t((unsigned __int128)(bits)*uint64_t(i + 1) >> 64);
    std::swap(order[size_t(i)], order[size_t(j)]);
  }
  return order;
}

constexpr uint32_t kSplitStep =
    0xFFFFFFFFu;  // the permutation that divides the set; no epoch has this number

}  // namespace

struct PictureSet::Impl {
  DataOptions options;
  int side = 0;                            // of stored pictures: load size
  std::vector<fs::path> files;             // readable ones; empty for builtin pictures
  std::vector<int32_t> train, validation;  // indices of pictures
  int64_t bad = 0;
  bool streams = false;
  std::vector<uint8_t> resident;  // (pictures, side, side, channels); given up once it lies on the device
  Tensor pool;                    // the same on the device
  int64_t epoch = -1;
  std::vector<int32_t> order;  // of this epoch: positions in `train`
  struct Ahead {
    int64_t draw;
    int batch;
    std::future<std::vector<uint8_t>> pixels;
  };
  std::optional<Ahead> ahead;  // the next streamed batch, being decoded

  // Large faces take long to draw and much memory: fewer of them.
  int64_t builtin_count() const {
    if (options.builtin_count > 0) return options.builtin_count;
    return side <= 64 ? 4096 : side <= 128 ? 2048 : 1024;
  }
  size_t picture_bytes() const { return size_t(side) * side * options.channels; }

  Image load(int64_t picture) const {
    if (files.empty()) {
      Image face;
      face.height = face.width = side;
      face.channels = 3;
      face.pixels = draw_comics_face(uint64_t(picture), ComicsStyle::comic, side);
      if (options.channels == 1) {
        face.channels = 1;
        for (size_t i = 0; i < size_t(side) * side; ++i) {
          const uint8_t* p = &face.pixels[3 * i];
          face.pixels[i] = uint8_t((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
        }
        face.pixels.resize(size_t(side) * side);
      }
      return face;
    }
    const DecodeOptions decode{.channels = options.channels, .matte = options.matte};
    const Image whole = read_image(files[size_t(picture)], decode);
    if (whole.height == side && whole.width == side) return whole;
    return center_crop(resize_shorter_side(whole, side), side, side);
  }

  void find_and_decode() {
    int64_t count = builtin_count();
    if (options.source == "builtin:comics") {
      if (side < 32 || side > 256)
        fail(Exit::usage, "builtin:comics draws pictures of 32 to 256 pixels, not {}", side);
    } else {
      if (options.source.starts_with("builtin:"))
        fail(Exit::usage, "`{}`: the embedded data set is builtin:comics", options.source);
      files = list_pictures(options.source);
      count = int64_t(files.size());
    }
    streams = double(count) * double(picture_bytes()) > options.cache_gb * double(1 << 30);
    // Streaming looks at every file once too: what is unreadable must be known before the order is drawn.
    if (!streams) resident.resize(size_t(count) * picture_bytes());
    std::vector<std::string> problems(static_cast<size_t>(count));
    if (!streams || !files.empty())
      parallel_for(count, options.workers, [&](int64_t i) {
        try {
          const Image image = load(i);
          if (!streams)
            std::copy(image.pixels.begin(), image.pixels.end(), &resident[size_t(i) * picture_bytes()]);
        } catch (const Error& error) {
          if (error.code() != Exit::bad_data) throw;
          problems[size_t(i)] = error.what();
        }
      });
    remove_bad(problems);
  }

  void remove_bad(const std::vector<std::string>& problems) {
    const int64_t count = int64_t(problems.size());
    int64_t kept = 0;
    std::string first_few;
    for (int64_t i = 0; i < count; ++i) {
      if (problems[size_t(i)].empty()) {
        if (kept != i) {
          if (!streams)
            std::copy_n(&resident[size_t(i) * picture_bytes()], picture_bytes(),
                        &resident[size_t(kept) * picture_bytes()]);
          files[size_t(kept)] = files[size_t(i)];
        }
        ++kept;
      } else if (++bad <= 5) {
        first_few += "\n  " + problems[size_t(i)];
      }
    }
    if (bad == 0) return;
    if (kept == 0)
      fail(Exit::bad_data, "{}: none of the {} pictures can be read:{}", options.source, count, first_few);
    if (double(bad) > options.max_bad * double(count))
      fail(Exit::bad_data,
           "{}: {} of {} pictures cannot be read, more than --max-bad {} allows:{}\n  see `gan data check`; "
           "a larger "
           "--max-bad goes on without them",
           options.source, bad, count, options.max_bad, first_few);
    for (const auto& problem : problems)
      if (!problem.empty()) fmt::print(stderr, "left out: {}\n", problem);
    files.resize(size_t(kept));
    if (!streams) resident.resize(size_t(kept) * picture_bytes());
  }

  void divide() {
    const int64_t count = files.empty() ? builtin_count() : int64_t(files.size());
    double part = 1;
    if (!options.split.empty()) {
      if (options.split.size() != 2 || options.split[0] <= 0 || options.split[1] < 0)
        fail(Exit::usage, "--split wants two parts, for training and validation, as 0.9,0.1");
      part = options.split[0] / (options.split[0] + options.split[1]);
    }
    const int64_t training = std::clamp<int64_t>(std::llround(part * double(count)), 1, count);
    std::vector<int32_t> order(static_cast<size_t>(count));
    if (training < count) order = permutation(count, options.seed, kSplitStep);
    else
      for (int64_t i = 0; i < count; ++i) order[size_t(i)] = int32_t(i);
    train.assign(order.begin(), order.begin() + training);
    validation.assign(order.begin() + training, order.end());
    std::sort(train.begin(), train.end());
    std::sort(validation.begin(), validation.end());
  }

  // (batch, 4): picture, top, left, flip
  std::vector<int32_t> placement(int64_t draw, int batch) {
    const int64_t draws = int64_t(train.size()) / batch, in_epoch = draw / draws;
    if (in_epoch != epoch) {
      epoch = in_epoch;
      if (options.shuffle) {
        order = permutation(int64_t(train.size()), options.seed, uint32_t(epoch));
      } else {
        order.resize(train.size());
        for (size_t i = 0; i < order.size(); ++i) order[i] = int32_t(i);
      }
    }
    const int slack = side - options.size;
    std::vector<int32_t> places(size_t(batch) * 4);
    for (int i = 0; i < batch; ++i) {
      int32_t* p = &places[size_t(i) * 4];
      p[0] = train[size_t(order[size_t((draw % draws) * batch + i)])];
      p[1] = p[2] = slack / 2;
      p[3] = 0;
      if (!options.augment) continue;
      const Philox4 r =
          random_bits(options.seed, uint32_t(RandomStream::augment), uint32_t(draw), uint64_t(i));
      p[1] = int32_t(uint64_t(r.v[0]) * uint64_t(slack + 1) >> 32);
      p[2] = int32_t(uint64_t(r.v[1]) * uint64_t(slack + 1) >> 32);
      p[3] = int32_t(r.v[2] >> 31);
    }
    return places;
  }

  std::vector<uint8_t> decode_batch(const std::vector<int32_t>& places) const {
    const int64_t batch = int64_t(places.size()) / 4;
    std::vector<uint8_t> pixels(size_t(batch) * picture_bytes());
    parallel_for(batch, options.workers, [&](int64_t i) {
      const Image image = load(places[size_t(i) * 4]);
      std::copy(image.pixels.begin(), image.pixels.end(), &pixels[size_t(i) * picture_bytes()]);
    });
    return pixels;
  }

  // A streamed batch; the next one is decoded while this one is worked on.
  Tensor streamed_pool(DeviceContext& context, int64_t draw, int batch, std::vector<int32_t>& places) {
    std::vector<uint8_t> pixels =
        ahead && ahead->draw == draw && ahead->batch == batch ? ahead->pixels.get() : decode_batch(places);
    ahead.reset();
    auto next = placement(draw + 1, batch);
    ahead =
        Ahead{draw + 1, batch,
              std::async(std::launch::async, [this, next = std::move(next)] { return decode_batch(next); })};
    for (int i = 0; i < batch; ++i) places[size_t(i) * 4] = i;
    return Tensor::from_bytes(context, {batch, side, side, options.channels}, std::move(pixels));
  }
};

PictureSet::PictureSet(const DataOptions& options) : impl_(std::make_unique<Impl>()) {
  Impl& d = *impl_;
  d.options = options;
  d.side = options.load_size > 0 ? options.load_size : options.size;
  if (d.side < options.size)
    fail(Exit::usage, "--load-size {} is smaller than --size {}", options.load_size, options.size);
  d.find_and_decode();
  d.divide();
}

PictureSet::~PictureSet() = default;
int64_t PictureSet::train_count() const { return int64_t(impl_->train.size()); }
int64_t PictureSet::validation_count() const { return int64_t(impl_->validation.size()); }
int64_t PictureSet::bad_count() const { return impl_->bad; }
int PictureSet::channels() const { return impl_->options.channels; }
bool PictureSet::streaming() const { return impl_->streams; }

size_t PictureSet::cache_bytes() const {
  return impl_->streams ? 0 : (impl_->train.size() + impl_->validation.size()) * impl_->picture_bytes();
}

int64_t PictureSet::draws_per_epoch(int batch) const { return train_count() / batch; }

Tensor PictureSet::batch(DeviceContext& context, int64_t draw, int batch) {
  Impl& d = *impl_;
  GAN_CHECK(batch >= 1 && batch <= train_count(), "a batch of {} from {} pictures", batch, train_count());
  std::vector<int32_t> places = d.placement(draw, batch);
  Tensor pool;
  if (d.streams) {
    pool = d.streamed_pool(context, draw, batch, places);
  } else {
    if (!d.pool) {
      const int64_t count = int64_t(d.resident.size() / d.picture_bytes());
      d.pool =
          Tensor::from_bytes(context, {count, d.side, d.side, d.options.channels}, std::move(d.resident));
    }
    pool = d.pool;
  }
  Tensor where(context, {batch, 4}, DType::i32);
  where.upload_bytes(places.data(), places.size() * sizeof(int32_t));
  return image_batch(pool, where, d.options.size, d.options.size);
}

std::vector<Image> PictureSet::pictures(int count, bool validation) {
  const auto& from = validation ? impl_->validation : impl_->train;
  std::vector<Image> images;
  for (int i = 0; i < std::min<int>(count, int(from.size())); ++i)
    images.push_back(center_crop(impl_->load(from[size_t(i)]), impl_->options.size, impl_->options.size));
  return images;
}

std::vector<PictureReport> check_pictures(const fs::path& folder, int workers) {
  const auto files = list_pictures(folder);
  std::vector<PictureReport> reports(files.size());
  parallel_for(int64_t(files.size()), workers, [&](int64_t i) {
    PictureReport& report = reports[size_t(i)];
    report.file = files[size_t(i)];
    try {
      report.info = probe_image(report.file);
      read_image(report.file);
    } catch (const Error& error) {
      report.problem = error.what();
      // Errors name the file; a report does so itself.
      if (const std::string name = report.file.string() + ": "; report.problem.starts_with(name))
        report.problem.erase(0, name.size());
    }
  });
  return reports;
}

}  // namespace gan
