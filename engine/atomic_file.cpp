// The order of the system calls is the whole point of this file: write everything, fsync the data, rename,
// fsync the folder. Before the rename nothing carries the final name; after it the data are already on the
// disk. Read write_file_atomically() at the foot first, then the helpers it calls.
#include "engine/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "kernels/check.h"

namespace gan {
namespace {

namespace fs = std::filesystem;
using Bytes = std::span<const std::byte>;

// Linux transfers at most 0x7ffff000 bytes in one call; a round figure below that.
constexpr size_t kMostPerCall = size_t{1} << 30;

std::string error_text(int error) { return std::generic_category().message(error); }

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }
  // Network file systems report a failed write only here, so the result counts.
  int close() { return ::close(std::exchange(value_, -1)); }

 private:
  int value_;
};

// What the message of a failed write needs to know.
struct WriteJob {
  const fs::path& path;  // as the caller named it
  fs::path folder;
  uint64_t needed = 0;  // bytes
  bool renamed = false;
};

[[noreturn]] void write_failed(const WriteJob& job, const char* action, int error) {
  struct statvfs space {};
  const bool known = ::statvfs(job.folder.c_str(), &space) == 0;
  const uint64_t free_bytes = known ? uint64_t{space.f_bavail} * space.f_frsize : 0;
  fail(Exit::io, "{}: cannot {}: {} ({} bytes needed, {} free in {}); {}", job.path.string(), action,
       error_text(error), job.needed, known ? fmt::format("{} bytes", free_bytes) : "unknown number",
       job.folder.string(),
       job.renamed ? "the new file is complete but may not outlive a power cut"
                   : "an older file there is untouched");
}

void write_all(const WriteJob& job, int descriptor, Bytes content) {
  while (!content.empty()) {
    const ssize_t written = ::write(descriptor, content.data(), std::min(content.size(), kMostPerCall));
    if (written < 0) {
      if (errno == EINTR) continue;
      write_failed(job, "write", errno);
    }
    content = content.subspan(static_cast<size_t>(written));
  }
}

void flush_to_disk(const WriteJob& job, int descriptor) {
  while (::fsync(descriptor) != 0) {
    if (errno == EINTR) continue;
    if (errno == EINVAL || errno == EROFS) return;  // pipes and some special file systems cannot be flushed
    write_failed(job, "flush to the disk", errno);
  }
}

// A new file in the target's folder that does not carry the final name yet. It starts unnamed where the file
// system can do that (O_TMPFILE), so that a kill while the data are written leaves nothing behind, and gets a
// temporary name only for the moment of the rename.
class TemporaryFile {
 public:
  TemporaryFile(const WriteJob& job, mode_t mode) : job_(job), descriptor_(open(mode)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!name_.empty()) ::unlink(name_.c_str());
  }

  int descriptor() const { return descriptor_.get(); }

  void rename_to(const fs::path& target) {
    if (name_.empty()) {
      const fs::path name = next_name();
      const std::string source = fmt::format("/proc/self/fd/{}", descriptor_.get());
      if (::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0)
        write_failed(job_, "name the new file", errno);
      name_ = name;
    }
    if (descriptor_.close() != 0 && errno != EINTR) write_failed(job_, "close", errno);
    if (::rename(name_.c_str(), target.c_str()) != 0) write_failed(job_, "rename the new file", errno);
    name_.clear();
  }

 private:
  fs::path next_name() const {
    static std::atomic<unsigned> counter{0};
    return job_.folder / fmt::format(".gan-{}-{}.tmp", ::getpid(), counter++);
  }

  Descriptor open(mode_t mode) {
    Descriptor unnamed(::open(job_.folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode));
    if (unnamed.get() >= 0 && ::access(fmt::format("/proc/self/fd/{}", unnamed.get()).c_str(), F_OK) == 0)
      return unnamed;
    for (;;) {
      name_ = next_name();
      const int named = ::open(name_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, mode);
      if (named >= 0) return Descriptor(named);
      const int error = errno;
      const bool taken = error == EEXIST;  // left by a killed process that had the same number
      if (!taken) {
        name_.clear();
        write_failed(job_, "create a file in its folder", error);
      }
    }
  }

  const WriteJob& job_;
  fs::path name_;  // empty while unnamed and after the rename
  Descriptor descriptor_;
};

void flush_folder(const WriteJob& job) {
  const Descriptor folder(::open(job.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) {
    if (errno == EACCES) return;  // a folder may be writable without being readable
    write_failed(job, "open its folder", errno);
  }
  flush_to_disk(job, folder.get());
}

}  // namespace

void write_file_atomically(const fs::path& path, uint64_t needed,
                           const std::function<void(const ByteSink&)>& produce) {
  std::error_code unresolvable;
  fs::path target = path;
  if (fs::is_symlink(fs::symlink_status(path, unresolvable))) {
    target = fs::canonical(path, unresolvable);
    if (unresolvable) fail(Exit::io, "{}: a symbolic link that leads nowhere; remove it", path.string());
  }
  WriteJob job{path, target.has_parent_path() ? target.parent_path() : fs::path("."), needed, false};

  struct stat old {};
  const bool exists = ::stat(target.c_str(), &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) write_failed(job, "write a file", EISDIR);
  if (exists && !S_ISREG(old.st_mode)) {
    const Descriptor device(::open(target.c_str(), O_WRONLY | O_CLOEXEC));
    if (device.get() < 0) write_failed(job, "open", errno);
    produce([&](Bytes part) { write_all(job, device.get(), part); });
    return;
  }

  TemporaryFile file(job, 0666);
  produce([&](Bytes part) { write_all(job, file.descriptor(), part); });
  if (exists && ::fchmod(file.descriptor(), old.st_mode & 07777) != 0)
    write_failed(job, "keep the file's mode", errno);
  flush_to_disk(job, file.descriptor());
  file.rename_to(target);
  job.renamed = true;
  flush_folder(job);
}

void write_file_atomically(const fs::path& path, std::span<const Bytes> parts) {
  uint64_t needed = 0;
  for (const Bytes& part : parts) needed += part.size();
  write_file_atomically(path, needed, [&](const ByteSink& sink) {
    for (const Bytes& part : parts) sink(part);
  });
}

void write_file_atomically(const fs::path& path, Bytes content) {
  write_file_atomically(path, std::span<const Bytes>(&content, 1));
}

// ---- reading ----

InputFile::InputFile(const fs::path& path) : path_(path) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever; it has no effect on a regular file.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail(Exit::bad_data, "{}: cannot be opened: {}", path.string(), error_text(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0)
    fail(Exit::io, "{}: cannot be read: {}", path.string(), error_text(errno));
  if (S_ISDIR(status.st_mode)) fail(Exit::bad_data, "{}: is a folder, not a file", path.string());
  if (!S_ISREG(status.st_mode))
    fail(Exit::bad_data, "{}: is a pipe or device, not a regular file", path.string());
  size_ = static_cast<uint64_t>(status.st_size);
  descriptor_ = file.release();
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), size_(other.size_), descriptor_(std::exchange(other.descriptor_, -1)) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(size_, other.size_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void InputFile::read(uint64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    const ssize_t got =
        ::pread(descriptor_, into.data(), std::min(into.size(), kMostPerCall), static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      fail(Exit::io, "{}: cannot be read: {}", path_.string(), error_text(errno));
    }
    if (got == 0)
      fail(Exit::bad_data, "{}: ends at byte {}, {} bytes too early", path_.string(), offset, into.size());
    into = into.subspan(static_cast<size_t>(got));
    offset += static_cast<uint64_t>(got);
  }
}

std::vector<std::byte> read_file(const fs::path& path, uint64_t max_bytes) {
  const InputFile file(path);
  if (file.size() > max_bytes)
    fail(Exit::bad_data, "{}: {} bytes is more than the {} allowed", path.string(), file.size(), max_bytes);
  std::vector<std::byte> content(file.size());
  file.read(0, content);
  return content;
}

}  // namespace gan
