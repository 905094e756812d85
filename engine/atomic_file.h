// Whole files, safely: read one with a limit on its size; replace one so that a crash, a kill or a full disk
// leaves either the complete old file or the complete new one, never a torn mixture. Checkpoints, pictures
// and every other result of a run are written through here.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

namespace gan {

// Writes the parts one after another as the new content of `path` (its folder must exist): into an unnamed or
// temporary file in the same folder, flushed to the disk, renamed over `path`, and the folder flushed as
// well. An existing file keeps its mode; a symbolic link is followed to the file it names; a device or pipe
// (/dev/stdout) is written in place, because there is nothing to replace. On failure the temporary file is
// gone, the old file is untouched, and gan::Error(Exit::io) names the path, the bytes needed and the bytes
// free. A limit on the file size (ulimit -f) is reported the same way if the program ignores SIGXFSZ.
void write_file_atomically(const std::filesystem::path& path,
                           std::span<const std::span<const std::byte>> parts);
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> content);
// The same with `bytes` bytes that `produce` hands to its argument, piece by piece: what is large need not be
// in memory at once.
using ByteSink = std::function<void(std::span<const std::byte>)>;
void write_file_atomically(const std::filesystem::path& path, uint64_t bytes,
                           const std::function<void(const ByteSink&)>& produce);

// An open, readable, regular file. Opening never waits: a pipe or a folder is refused instead.
class InputFile {
 public:
  // Exit::bad_data with the reason if the path is missing, no regular file, or not readable.
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }  // bytes, when it was opened

  // Fills `into` with the bytes from `offset` on. Exit::bad_data if the file ends before that (it was cut
  // while open), Exit::io if the disk reports an error. Safe to call from several threads.
  void read(uint64_t offset, std::span<std::byte> into) const;

 private:
  std::filesystem::path path_;
  uint64_t size_ = 0;
  int descriptor_ = -1;
};

// The whole content of a regular file; Exit::bad_data if it is larger than max_bytes.
std::vector<std::byte> read_file(const std::filesystem::path& path, uint64_t max_bytes);

}  // namespace gan
