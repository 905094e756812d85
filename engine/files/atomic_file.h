// Whole files, safely: read one with a limit on its size; replace one so that a crash, a kill or a full disk
// leaves either the complete old file or the complete new one, never a torn mixture. Checkpoints, pictures
// and every other result of a run are written through here.
//
// A path that the user gave is followed wherever its links lead. Inside a run folder there are no links: what
// lies there is opened through Folder, name by name, and a link is refused, so that a run from a stranger
// cannot make the program read or overwrite a file elsewhere.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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

// Whether a file of this name is one that a write has left behind when it was killed (Folder::remove_leftovers()).
bool is_temporary_name(std::string_view name);

class InputFile;  // below

// An open folder, the start of every access to what lies in it. Names are single words, never paths; a name
// that is a symbolic link is refused with Exit::bad_data. Copies share the open folder.
class Folder {
 public:
  // Links on the way to `path`, its last word included, are followed. Exit::bad_data if it is no folder.
  explicit Folder(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::vector<std::string> names() const;         // of everything in it, sorted
  bool has(const std::string& name) const;        // whether something of this name is there, a link too
  InputFile open(const std::string& name) const;  // Exit::bad_data as InputFile has it, and for a link
  std::optional<Folder> subfolder(const std::string& name) const;  // nothing when there is none
  Folder make_subfolder(const std::string& name) const;            // made where it is not there
  void remove(const std::string& name) const;                      // a file; a missing one is no error
  void remove_empty(const std::string& name) const noexcept;       // a folder, if nothing is in it
  // Removes what write() leaves behind when a kill or a crash comes between naming a file and renaming it. Only where
  // nobody else writes: another program's file of this kind would go, too.
  void remove_leftovers() const;
  // As write_file_atomically(), whose guarantees hold here too.
  void write(const std::string& name, std::span<const std::byte> content) const;
  void write(const std::string& name, uint64_t bytes,
             const std::function<void(const ByteSink&)>& produce) const;
  // A descriptor that appends to a file which is there; the caller closes it. Exit::io if it cannot be
  // opened.
  int open_to_append(const std::string& name) const;
  // A descriptor of a file that is made if it is not there, for reading and writing; the caller closes it. Exit::io if
  // it cannot be opened.
  int open_or_create(const std::string& name) const;
  bool is_this(const std::string& name,
               int descriptor) const noexcept;  // whether the name still leads to that file

 private:
  friend void write_file_atomically(const std::filesystem::path&, uint64_t,
                                    const std::function<void(const ByteSink&)>&);
  Folder(std::filesystem::path path, int descriptor);
  std::filesystem::path place(const std::string& name) const;  // for messages; refuses what is no single word
  void refuse_link(const std::string& name) const;

  std::filesystem::path path_;
  std::shared_ptr<const int> descriptor_;  // closed with its last copy
};

// An open, readable, regular file. Opening never waits: a pipe or a folder is refused instead.
class InputFile {
 public:
  // Exit::bad_data with the reason if the path is missing, no regular file, or not readable.
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }         // bytes, when it was opened
  int descriptor() const { return descriptor_; }  // stays this object's

  // Fills `into` with the bytes from `offset` on. Exit::bad_data if the file ends before that (it was cut
  // while open), Exit::io if the disk reports an error. Safe to call from several threads.
  void read(uint64_t offset, std::span<std::byte> into) const;
  // The whole content; Exit::bad_data if it is larger than max_bytes.
  std::vector<std::byte> read_all(uint64_t max_bytes) const;

 private:
  friend class Folder;
  InputFile(std::filesystem::path path, int descriptor);  // takes over what open() gave, -1 with errno too
  std::filesystem::path path_;
  uint64_t size_ = 0;
  int descriptor_ = -1;
};

// The whole content of a regular file; Exit::bad_data if it is larger than max_bytes.
std::vector<std::byte> read_file(const std::filesystem::path& path, uint64_t max_bytes);

}  // namespace gan
