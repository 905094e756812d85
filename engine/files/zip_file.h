// Zip archives whose members lie in them uncompressed, as torch.save writes them. Where the members lie is checked
// against the file before any of it is believed; archives of more than 4 GiB (zip64) are read too. Compressed members
// are named and not read.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/files/atomic_file.h"

namespace gan {

struct ZipMember {
  std::string name;               // "archive/data/0"
  uint64_t begin = 0, bytes = 0;  // in the file
  uint32_t crc = 0;               // of the content
  bool stored = false;            // its bytes are its content: neither compressed nor encrypted
  uint64_t end() const { return begin + bytes; }
};

class ZipFile {
 public:
  // Exit::bad_data, naming the file, when it is no zip archive, damaged or cut.
  static ZipFile open(InputFile file);

  const InputFile& file() const { return file_; }
  const std::vector<ZipMember>& members() const { return members_; }
  const ZipMember* find(std::string_view name) const;  // null if there is none
  // Reads the member once, in pieces. Exit::bad_data when its content does not have its checksum.
  void verify(const ZipMember& member) const;

 private:
  explicit ZipFile(InputFile file) : file_(std::move(file)) {}
  InputFile file_;
  std::vector<ZipMember> members_;  // by name
};

}  // namespace gan
