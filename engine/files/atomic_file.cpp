// The order of the system calls is the whole point of this file: write everything, fsync the data, rename,
// fsync the folder. Before the rename nothing carries the final name; after it the data are already on the
// disk. Read Folder::write() first, then the helpers it calls.
#include "engine/files/atomic_file.h"

#include <dirent.h>
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

#include "kernels/contract/check.h"

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
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  int get() const { return value_; }
  int release() { return std::exchange(value_, -1); }
  // Network file systems report a failed write only here, so the result counts.
  int close() { return ::close(std::exchange(value_, -1)); }

 private:
  int value_;
};

// Calls a system call again for as long as a signal interrupts it.
template <class Call>
auto retried(Call call) {
  for (;;)
    if (const auto result = call(); result >= 0 || errno != EINTR) return result;
}

// What the message of a failed write needs to know.
struct WriteJob {
  const fs::path& path;  // as the caller named it
  int folder;            // where it is written
  fs::path folder_path;
  uint64_t needed = 0;  // bytes
  bool renamed = false;
};

[[noreturn]] void write_failed(const WriteJob& job, const char* action, int error) {
  struct statvfs space {};
  const bool known = ::fstatvfs(job.folder, &space) == 0;
  const uint64_t free_bytes = known ? uint64_t{space.f_bavail} * space.f_frsize : 0;
  fail(Exit::io, "{}: cannot {}: {} ({} bytes needed, {} free in {}); {}", job.path.string(), action,
       error_text(error), job.needed, known ? fmt::format("{} bytes", free_bytes) : "unknown number",
       job.folder_path.string(),
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
  if (retried([&] { return ::fsync(descriptor); }) == 0) return;
  if (errno == EINVAL || errno == EROFS) return;  // pipes and some special file systems cannot be flushed
  write_failed(job, "flush to the disk", errno);
}

constexpr std::string_view kTemporaryStart = ".gan-", kTemporaryEnd = ".tmp";

// A new file in the target's folder that does not carry the final name yet. It starts unnamed where the file
// system can do that (O_TMPFILE), so that a kill while the data are written leaves nothing behind, and gets a
// temporary name only for the moment of the rename.
class TemporaryFile {
 public:
  TemporaryFile(const WriteJob& job, mode_t mode) : job_(job), descriptor_(open(mode)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!name_.empty()) ::unlinkat(job_.folder, name_.c_str(), 0);
  }

  int descriptor() const { return descriptor_.get(); }

  void rename_to(const std::string& target) {
    if (name_.empty()) give_name();
    if (descriptor_.close() != 0 && errno != EINTR) write_failed(job_, "close", errno);
    if (retried([&] { return ::renameat(job_.folder, name_.c_str(), job_.folder, target.c_str()); }) != 0)
      write_failed(job_, "rename the new file", errno);
    name_.clear();
  }

 private:
  static std::string next_name() {
    static std::atomic<unsigned> counter{0};
    return fmt::format("{}{}-{}{}", kTemporaryStart, ::getpid(), counter++, kTemporaryEnd);
  }

  void give_name() {
    const std::string name = next_name(), source = fmt::format("/proc/self/fd/{}", descriptor_.get());
    if (retried([&] {
          return ::linkat(AT_FDCWD, source.c_str(), job_.folder, name.c_str(), AT_SYMLINK_FOLLOW);
        }) == 0) {
      name_ = name;
      return;
    }
    // Some file systems make unnamed files and then cannot name them: the content moves to a named one.
    const int error = errno;
    if (error != EOPNOTSUPP && error != ENOSYS && error != EPERM && error != EXDEV && error != EINVAL)
      write_failed(job_, "name the new file", error);
    struct stat status {};
    if (::fstat(descriptor_.get(), &status) != 0) write_failed(job_, "look at the new file", errno);
    Descriptor named = open_named(status.st_mode & 07777);
    std::vector<std::byte> piece(size_t{1} << 20);
    for (off_t at = 0; at < status.st_size;) {
      const ssize_t got = retried([&] { return ::pread(descriptor_.get(), piece.data(), piece.size(), at); });
      if (got <= 0) write_failed(job_, "copy the new file", got < 0 ? errno : EIO);
      write_all(job_, named.get(), Bytes(piece).first(static_cast<size_t>(got)));
      at += got;
    }
    if (retried([&] { return ::fchmod(named.get(), status.st_mode & 07777); }) != 0)
      write_failed(job_, "keep the file's mode", errno);
    flush_to_disk(job_, named.get());
    descriptor_ = std::move(named);
  }

  Descriptor open(mode_t mode) {
    Descriptor unnamed(
        retried([&] { return ::openat(job_.folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode); }));
    if (unnamed.get() >= 0 && ::access(fmt::format("/proc/self/fd/{}", unnamed.get()).c_str(), F_OK) == 0)
      return unnamed;
    return open_named(mode);
  }

  Descriptor open_named(mode_t mode) {
    for (;;) {
      name_ = next_name();
      const int named = retried([&] {
        return ::openat(job_.folder, name_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW,
                        mode);
      });
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
  std::string name_;  // empty while unnamed and after the rename
  Descriptor descriptor_;
};

void flush_folder(const WriteJob& job) {
  const Descriptor folder(
      retried([&] { return ::openat(job.folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (folder.get() < 0) {
    if (errno == EACCES) return;  // a folder may be writable without being readable
    write_failed(job, "open its folder", errno);
  }
  flush_to_disk(job, folder.get());
}

// O_PATH: a folder may be writable without being readable.
constexpr int kFolderFlags = O_PATH | O_DIRECTORY | O_CLOEXEC;

}  // namespace

// ".gan-PROCESS-NUMBER.tmp", and nothing that a user may have named so.
bool is_temporary_name(std::string_view name) {
  if (!name.starts_with(kTemporaryStart) || !name.ends_with(kTemporaryEnd)) return false;
  name.remove_prefix(kTemporaryStart.size());
  if (name.size() < kTemporaryEnd.size()) return false;
  name.remove_suffix(kTemporaryEnd.size());
  const size_t dash = name.find('-');
  return dash != name.npos && dash > 0 && dash + 1 < name.size() &&
         name.find_first_not_of("0123456789-") == name.npos && name.find('-', dash + 1) == name.npos;
}

void write_file_atomically(const fs::path& path, uint64_t needed,
                           const std::function<void(const ByteSink&)>& produce) {
  std::error_code unresolvable;
  fs::path target = path;
  if (fs::is_symlink(fs::symlink_status(path, unresolvable))) {
    target = fs::canonical(path, unresolvable);
    if (unresolvable) fail(Exit::io, "{}: a symbolic link that leads nowhere; remove it", path.string());
  }
  const fs::path parent = target.has_parent_path() ? target.parent_path() : fs::path(".");
  const int folder = retried([&] { return ::open(parent.c_str(), kFolderFlags); });
  const WriteJob job{path, folder, parent, needed, false};
  if (folder < 0) write_failed(job, "open its folder", errno);
  const Folder opened(parent, folder);

  struct stat old {};
  const bool exists = ::stat(target.c_str(), &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) write_failed(job, "write a file", EISDIR);
  if (exists && !S_ISREG(old.st_mode)) {
    const Descriptor device(retried([&] { return ::open(target.c_str(), O_WRONLY | O_CLOEXEC); }));
    if (device.get() < 0) write_failed(job, "open", errno);
    produce([&](Bytes part) { write_all(job, device.get(), part); });
    return;
  }
  opened.write(target.filename(), needed, produce);
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

// ---- a folder ----

Folder::Folder(fs::path path, int descriptor)
    : path_(std::move(path)), descriptor_(new int(descriptor), [](const int* open) {
        ::close(*open);
        delete open;
      }) {}

Folder::Folder(const fs::path& path) : path_(path) {
  const int descriptor = retried([&] { return ::open(path.c_str(), kFolderFlags); });
  if (descriptor < 0)
    fail(Exit::bad_data, "{}: cannot be opened as a folder: {}", path.string(), error_text(errno));
  *this = Folder(path, descriptor);
}

fs::path Folder::place(const std::string& name) const {
  GAN_CHECK(!name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
                name.find('\0') == std::string::npos,
            "`{}` is no name of a file in {}", name, path_.string());
  return path_ / name;
}

void Folder::refuse_link(const std::string& name) const {
  struct stat status {};
  if (::fstatat(*descriptor_, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode))
    fail(Exit::bad_data,
         "{} is a symbolic link, and inside a run there are none: it could lead to any other file. Put the "
         "file itself there, or remove the link",
         place(name).string());
}

std::vector<std::string> Folder::names() const {
  std::vector<std::string> names;
  const int readable =
      retried([&] { return ::openat(*descriptor_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  DIR* listing = readable < 0 ? nullptr : ::fdopendir(readable);
  if (!listing) fail(Exit::io, "{} cannot be listed: {}", path_.string(), error_text(errno));
  while (const dirent* entry = ::readdir(listing))
    if (const std::string name = entry->d_name; name != "." && name != "..") names.push_back(name);
  ::closedir(listing);
  std::sort(names.begin(), names.end());
  return names;
}

bool Folder::has(const std::string& name) const {
  place(name);
  return ::faccessat(*descriptor_, name.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

InputFile Folder::open(const std::string& name) const {
  const fs::path path = place(name);
  refuse_link(name);
  return InputFile(path, retried([&] {
                     return ::openat(*descriptor_, name.c_str(),
                                     O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
                   }));
}

std::optional<Folder> Folder::subfolder(const std::string& name) const {
  const fs::path path = place(name);
  refuse_link(name);
  const int inside = retried([&] { return ::openat(*descriptor_, name.c_str(), kFolderFlags | O_NOFOLLOW); });
  if (inside >= 0) return Folder(path, inside);
  if (errno == ENOENT) return {};
  fail(Exit::bad_data, "{}: cannot be opened as a folder: {}", path.string(), error_text(errno));
}

Folder Folder::make_subfolder(const std::string& name) const {
  const fs::path path = place(name);
  if (retried([&] { return ::mkdirat(*descriptor_, name.c_str(), 0777); }) != 0 && errno != EEXIST)
    fail(Exit::io, "folder {} cannot be made: {}", path.string(), error_text(errno));
  if (const auto made = subfolder(name)) return *made;
  fail(Exit::io, "folder {} went away while it was opened", path.string());
}

void Folder::remove(const std::string& name) const {
  const fs::path path = place(name);
  if (retried([&] { return ::unlinkat(*descriptor_, name.c_str(), 0); }) != 0 && errno != ENOENT)
    fail(Exit::io, "{} cannot be removed: {}", path.string(), error_text(errno));
}

void Folder::remove_empty(const std::string& name) const noexcept {
  ::unlinkat(*descriptor_, name.c_str(), AT_REMOVEDIR);  // refuses one that is not empty
}

void Folder::remove_leftovers() const {
  for (const std::string& name : names())
    if (is_temporary_name(name)) remove(name);
}

void Folder::write(const std::string& name, Bytes content) const {
  write(name, content.size(), [&](const ByteSink& sink) { sink(content); });
}

void Folder::write(const std::string& name, uint64_t needed,
                   const std::function<void(const ByteSink&)>& produce) const {
  const fs::path path = place(name);
  refuse_link(name);
  WriteJob job{path, *descriptor_, path_, needed, false};
  struct stat old {};
  const bool exists = ::fstatat(*descriptor_, name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
  if (exists && S_ISDIR(old.st_mode)) write_failed(job, "write a file", EISDIR);
  TemporaryFile file(job, 0666);
  produce([&](Bytes part) { write_all(job, file.descriptor(), part); });
  if (exists && retried([&] { return ::fchmod(file.descriptor(), old.st_mode & 07777); }) != 0)
    write_failed(job, "keep the file's mode", errno);
  flush_to_disk(job, file.descriptor());
  file.rename_to(name);
  job.renamed = true;
  flush_folder(job);
}

int Folder::open_to_append(const std::string& name) const {
  const fs::path path = place(name);
  refuse_link(name);
  const int descriptor = retried(
      [&] { return ::openat(*descriptor_, name.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW); });
  if (descriptor < 0) fail(Exit::io, "{} cannot be opened: {}", path.string(), error_text(errno));
  return descriptor;
}

int Folder::open_or_create(const std::string& name) const {
  const fs::path path = place(name);
  refuse_link(name);
  const int descriptor = retried([&] {
    return ::openat(*descriptor_, name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  });
  if (descriptor < 0) fail(Exit::io, "{} cannot be opened: {}", path.string(), error_text(errno));
  return descriptor;
}

bool Folder::is_this(const std::string& name, int descriptor) const noexcept {
  struct stat named {
  }, open{};
  return ::fstatat(*descriptor_, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         ::fstat(descriptor, &open) == 0 && named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

// ---- reading ----

// O_NONBLOCK: opening a pipe that nobody writes to would wait for ever; it has no effect on a regular file.
InputFile::InputFile(const fs::path& path)
    : InputFile(path, retried([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); })) {}

InputFile::InputFile(fs::path path, int descriptor) : path_(std::move(path)) {
  Descriptor file(descriptor);
  if (file.get() < 0) fail(Exit::bad_data, "{}: cannot be opened: {}", path_.string(), error_text(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0)
    fail(Exit::io, "{}: cannot be read: {}", path_.string(), error_text(errno));
  if (S_ISDIR(status.st_mode)) fail(Exit::bad_data, "{}: is a folder, not a file", path_.string());
  if (!S_ISREG(status.st_mode))
    fail(Exit::bad_data, "{}: is a pipe or device, not a regular file", path_.string());
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

std::vector<std::byte> InputFile::read_all(uint64_t max_bytes) const {
  if (size_ > max_bytes)
    fail(Exit::bad_data, "{}: {} bytes is more than the {} allowed", path_.string(), size_, max_bytes);
  std::vector<std::byte> content(size_);
  read(0, content);
  return content;
}

std::vector<std::byte> read_file(const fs::path& path, uint64_t max_bytes) {
  return InputFile(path).read_all(max_bytes);
}

}  // namespace gan
