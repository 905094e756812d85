// From the end of the archive to its directory, and from there to the members (PKWARE's APPNOTE.TXT, 4.3).
#include "engine/files/zip_file.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "kernels/contract/check.h"

namespace gan {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kDirectoryEntry = 0x02014b50, kDirectoryEnd = 0x06054b50,
                   kDirectoryEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr uint64_t kLocalBytes = 30, kEntryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20,
                   kLongestComment = 65535;
constexpr uint64_t kMostMembers = 200'000, kMostDirectoryBytes = 64 << 20;
constexpr uint16_t kEncrypted = 1, kStored = 0, kZip64Field = 1;
constexpr uint32_t kInField = 0xFFFFFFFF;  // the number stands in the zip64 field instead

// A little-endian number.
template <class T>
T number(const std::vector<std::byte>& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// What the directory's end says of it.
struct Directory {
  uint64_t begin = 0, bytes = 0, members = 0;
};

class Reader {
 public:
  explicit Reader(const InputFile& file) : file_(file) {}

  Directory directory() const {
    if (file_.size() < kEndBytes) refuse("{} bytes are too few", file_.size());
    const uint64_t tail_bytes = std::min(file_.size(), kEndBytes + kLongestComment);
    const uint64_t tail_begin = file_.size() - tail_bytes;
    const std::vector<std::byte> tail = read(tail_begin, tail_bytes);
    for (uint64_t at = tail_bytes - kEndBytes + 1; at-- > 0;) {
      if (number<uint32_t>(tail, at) != kDirectoryEnd) continue;
      if (at + kEndBytes + number<uint16_t>(tail, at + 20) != tail_bytes) continue;
      Directory found{number<uint32_t>(tail, at + 16), number<uint32_t>(tail, at + 12),
                      number<uint16_t>(tail, at + 10)};
      if (const auto large = directory64(tail_begin + at)) found = *large;
      if (found.members > kMostMembers || found.bytes > kMostDirectoryBytes ||
          found.members * kEntryBytes > found.bytes)
        refuse("a directory of {} members in {} bytes", found.members, found.bytes);
      if (found.begin > file_.size() || found.bytes > file_.size() - found.begin)
        refuse("its directory lies behind its end; it is cut");
      return found;
    }
    refuse("its directory, which is last in a zip archive, is not there; the file is cut: download it again");
  }

  std::vector<ZipMember> members(const Directory& directory) const {
    const std::vector<std::byte> bytes = read(directory.begin, directory.bytes);
    std::vector<ZipMember> members;
    uint64_t at = 0;
    for (uint64_t i = 0; i < directory.members; ++i) {
      if (bytes.size() - at < kEntryBytes || number<uint32_t>(bytes, at) != kDirectoryEntry)
        refuse("entry {} of its directory is not there", i);
      const uint64_t name_bytes = number<uint16_t>(bytes, at + 28),
                     extra_bytes = number<uint16_t>(bytes, at + 30),
                     all_bytes = kEntryBytes + name_bytes + extra_bytes + number<uint16_t>(bytes, at + 32);
      if (all_bytes > bytes.size() - at) refuse("entry {} of its directory is cut", i);
      ZipMember member;
      member.name.assign(reinterpret_cast<const char*>(bytes.data()) + at + kEntryBytes, name_bytes);
      member.crc = number<uint32_t>(bytes, at + 16);
      uint64_t content = number<uint32_t>(bytes, at + 24), local = number<uint32_t>(bytes, at + 42);
      member.bytes = number<uint32_t>(bytes, at + 20);
      const uint64_t extra = at + kEntryBytes + name_bytes;
      fill_from_field(bytes, extra, extra + extra_bytes, {&content, &member.bytes, &local});
      member.stored =
          (number<uint16_t>(bytes, at + 8) & kEncrypted) == 0 && number<uint16_t>(bytes, at + 10) == kStored;
      if (member.stored && content != member.bytes)
        refuse("`{}` has two sizes, {} and {}", member.name, content, member.bytes);
      place(member, local);
      members.push_back(std::move(member));
      at += all_bytes;
    }
    std::sort(members.begin(), members.end(),
              [](const ZipMember& a, const ZipMember& b) { return a.name < b.name; });
    for (size_t i = 0; i + 1 < members.size(); ++i)
      if (members[i].name == members[i + 1].name) refuse("two members `{}`", members[i].name);
    return members;
  }

 private:
  template <class... A>
  [[noreturn]] void refuse(fmt::format_string<A...> f, A&&... a) const {
    fail(Exit::bad_data, "{}: not a whole zip archive: {}", file_.path().string(),
         fmt::format(f, std::forward<A>(a)...));
  }
  // The caller has compared both with the size of the file.
  std::vector<std::byte> read(uint64_t begin, uint64_t bytes) const {
    std::vector<std::byte> result(bytes);
    file_.read(begin, result);
    return result;
  }

  std::optional<Directory> directory64(uint64_t end_at) const {
    if (end_at < kLocator64Bytes) return {};
    const auto locator = read(end_at - kLocator64Bytes, kLocator64Bytes);
    if (number<uint32_t>(locator, 0) != kLocator64) return {};
    const auto at = number<uint64_t>(locator, 8);
    if (at > end_at || end_at - at < kEnd64Bytes) refuse("its zip64 directory lies behind its end");
    const auto end = read(at, kEnd64Bytes);
    if (number<uint32_t>(end, 0) != kDirectoryEnd64) refuse("its zip64 directory is not there");
    return Directory{number<uint64_t>(end, 48), number<uint64_t>(end, 40), number<uint64_t>(end, 32)};
  }

  // Numbers that did not fit 32 bits, in this order, from the zip64 field between `begin` and `end`.
  void fill_from_field(const std::vector<std::byte>& bytes, uint64_t begin, uint64_t end,
                       std::initializer_list<uint64_t*> numbers) const {
    while (end - begin >= 4) {
      const uint64_t length = number<uint16_t>(bytes, begin + 2);
      if (length > end - begin - 4) return;
      if (number<uint16_t>(bytes, begin) == kZip64Field) {
        uint64_t at = begin + 4;
        for (uint64_t* value : numbers) {
          if (*value != kInField) continue;
          if (begin + 4 + length - at < sizeof *value) refuse("a zip64 field lacks a number");
          *value = number<uint64_t>(bytes, at);
          at += sizeof *value;
        }
        return;
      }
      begin += 4 + length;
    }
  }

  // Where the member's bytes begin, behind its local header.
  void place(ZipMember& member, uint64_t local) const {
    if (local > file_.size() || file_.size() - local < kLocalBytes)
      refuse("`{}` lies behind its end", member.name);
    const auto header = read(local, kLocalBytes);
    if (number<uint32_t>(header, 0) != kLocalHeader) refuse("`{}` is not where it should be", member.name);
    member.begin = local + kLocalBytes + number<uint16_t>(header, 26) + number<uint16_t>(header, 28);
    if (member.begin > file_.size() || member.bytes > file_.size() - member.begin)
      refuse("`{}` of {} bytes reaches over its end", member.name, member.bytes);
  }

  const InputFile& file_;
};

}  // namespace

ZipFile ZipFile::open(InputFile file) {
  ZipFile result(std::move(file));
  const Reader reader(result.file_);
  result.members_ = reader.members(reader.directory());
  return result;
}

const ZipMember* ZipFile::find(std::string_view name) const {
  const auto found =
      std::lower_bound(members_.begin(), members_.end(), name,
                       [](const ZipMember& member, std::string_view wanted) { return member.name < wanted; });
  return found == members_.end() || found->name != name ? nullptr : &*found;
}

void ZipFile::verify(const ZipMember& member) const {
  std::vector<std::byte> piece(size_t(std::min<uint64_t>(member.bytes, 1 << 20)));
  uint32_t crc = 0;
  for (uint64_t at = member.begin; at < member.end(); at += piece.size()) {
    piece.resize(size_t(std::min<uint64_t>(piece.size(), member.end() - at)));
    file_.read(at, piece);
    crc = uint32_t(crc32_z(crc, reinterpret_cast<const Bytef*>(piece.data()), piece.size()));
  }
  if (crc != member.crc)
    fail(Exit::bad_data, "{}: damaged: `{}` has the checksum {:08x}, not {:08x}; download the file again",
         file_.path().string(), member.name, crc, member.crc);
}

}  // namespace gan
