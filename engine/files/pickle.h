// Python's pickles, as far as files of weights need them: the values that one describes, without executing anything.
//
// A pickle is a program for a small stack machine. Two of its instructions make it dangerous: one names any function of
// any module, the other calls what was named. Here a name is only a word, which the caller may refuse, and a call is a
// value that says what would be called with what; nobody calls it. Every length is compared with the bytes that are
// left before memory is taken, and values refer to each other without owning each other, so that neither deep nor
// circular nesting does harm.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "engine/files/atomic_file.h"

namespace gan {

struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,     // integer is 0 or 1
    integer,     // that fits 64 bits
    big,         // one that does not: `text` has its bytes, little-endian
    real,        // a float
    text,        // str or bytes
    tuple,       // items
    list,        // items
    dict,        // items: key, value, key, value ...; also collections.OrderedDict
    global,      // `text`: "module.name" of a function or class
    call,        // items: the global, then the tuple of its arguments
    persistent,  // what the pickle leaves to the file around it; items: its id
  };
  Kind kind = Kind::none;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<const PickleValue*> items;

  bool is(Kind wanted) const { return kind == wanted; }
  // Of a dict: the value under a text; null if there is none.
  const PickleValue* find(std::string_view key) const;
};

class Pickle {
 public:
  static constexpr uint64_t kMostBytes = 64 << 20;  // of one pickle
  static constexpr size_t kMostValues = 1'000'000;  // in one pickle, and on its stack

  // Throws for a global that shall not be in the pickle; called once for each, with "module.name".
  using CheckGlobal = std::function<void(const std::string& name)>;

  // Reads the pickle that begins at byte `begin` of the file and ends before byte `end`, with the instructions of
  // protocols 2 to 5 that containers of numbers and texts need. Exit::bad_data, naming file and place, for anything else.
  static Pickle read(const InputFile& file, uint64_t begin, uint64_t end, const CheckGlobal& check);

  const PickleValue& value() const { return *value_; }
  const std::deque<PickleValue>& values() const { return values_; }  // all that are in it
  uint64_t end() const { return end_; }                              // the byte behind it

 private:
  friend class PickleMachine;
  std::deque<PickleValue> values_;  // all of them; their places do not change
  const PickleValue* value_ = nullptr;
  uint64_t end_ = 0;
};

}  // namespace gan
