// Top to bottom: bytes with a bound, the instructions, the machine that runs them.
#include "engine/files/pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "kernels/contract/check.h"

namespace gan {

const PickleValue* PickleValue::find(std::string_view key) const {
  if (kind != Kind::dict) return nullptr;
  for (size_t i = 0; i + 1 < items.size(); i += 2)
    if (items[i]->is(Kind::text) && items[i]->text == key) return items[i + 1];
  return nullptr;
}

namespace {

// The instructions, by the names that Python's pickletools gives them.
enum Instruction : uint8_t {
  mark = '(',
  stop = '.',
  pop = '0',
  pop_mark = '1',
  dup = '2',
  none = 'N',
  binint = 'J',
  binint1 = 'K',
  binint2 = 'M',
  long1 = 0x8a,
  binfloat = 'G',
  newtrue = 0x88,
  newfalse = 0x89,
  binunicode = 'X',
  short_binunicode = 0x8c,
  binunicode8 = 0x8d,
  short_binstring = 'U',
  binstring = 'T',
  short_binbytes = 'C',
  binbytes = 'B',
  binbytes8 = 0x8e,
  empty_tuple = ')',
  tuple = 't',
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  empty_list = ']',
  list = 'l',
  append = 'a',
  appends = 'e',
  empty_dict = '}',
  dict = 'd',
  setitem = 's',
  setitems = 'u',
  binput = 'q',
  long_binput = 'r',
  memoize = 0x94,
  binget = 'h',
  long_binget = 'j',
  global_name = 'c',
  stack_global = 0x93,
  reduce = 'R',
  newobj = 0x81,
  build = 'b',
  binpersid = 'Q',
  proto = 0x80,
  frame = 0x95,
};

constexpr size_t kMostNameBytes = 256;  // of a module or of what is in it

// Bytes of a file from one place to another, read in pieces.
class Bytes {
 public:
  Bytes(const InputFile& file, uint64_t begin, uint64_t end) : file_(file), at_(begin), end_(end) {}

  template <class... A>
  [[noreturn]] void refuse(fmt::format_string<A...> f, A&&... a) const {
    fail(Exit::bad_data, "{}: damaged: {} (at byte {} of the file, in a pickle)", file_.path().string(),
         fmt::format(f, std::forward<A>(a)...), at_);
  }
  uint64_t at() const { return at_; }
  uint64_t left() const { return end_ - at_; }

  uint8_t byte() {
    if (at_ >= end_) refuse("it ends in the middle");
    if (at_ < piece_begin_ || at_ >= piece_begin_ + piece_.size()) {
      piece_.resize(size_t(std::min<uint64_t>(end_ - at_, 1 << 16)));
      file_.read(at_, piece_);
      piece_begin_ = at_;
    }
    return std::to_integer<uint8_t>(piece_[size_t(at_++ - piece_begin_)]);
  }
  // Little-endian.
  uint64_t number(int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= uint64_t{byte()} << (8 * i);
    return value;
  }
  std::string text(uint64_t bytes) {
    if (bytes > left()) refuse("a text of {} bytes where {} are left", bytes, left());
    std::string value(size_t(bytes), '\0');
    for (char& c : value) c = char(byte());
    return value;
  }
  std::string line() {
    std::string value;
    for (char c; (c = char(byte())) != '\n'; value += c)
      if (value.size() == kMostNameBytes) refuse("a name of more than {} bytes", kMostNameBytes);
    return value;
  }
  void skip(uint64_t bytes) { at_ += std::min(bytes, left()); }

 private:
  const InputFile& file_;
  uint64_t at_, end_, piece_begin_ = 0;
  std::vector<std::byte> piece_;
};

}  // namespace

class PickleMachine {
 public:
  PickleMachine(Pickle& to, Bytes& bytes, const Pickle::CheckGlobal& check)
      : to_(to), bytes_(bytes), check_(check) {}

  const PickleValue* run() {
    for (;;) {
      const uint8_t instruction = bytes_.byte();
      if (instruction == stop) {
        if (stack_.size() != 1 || !marks_.empty()) bytes_.refuse("{} values at its end", stack_.size());
        return stack_[0];
      }
      step(instruction);
    }
  }

 private:
  using Kind = PickleValue::Kind;

  PickleValue* make(Kind kind) {
    if (to_.values_.size() >= Pickle::kMostValues) bytes_.refuse("more than {} values", Pickle::kMostValues);
    to_.values_.emplace_back();
    to_.values_.back().kind = kind;
    return &to_.values_.back();
  }
  void push(PickleValue* value) {
    if (stack_.size() >= Pickle::kMostValues) bytes_.refuse("more than {} values at once", stack_.size());
    stack_.push_back(value);
  }
  // The values above the last mark belong to it alone.
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleValue* take() {
    if (stack_.size() <= floor()) bytes_.refuse("an instruction lacks a value");
    PickleValue* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  PickleValue& top() {
    if (stack_.size() <= floor()) bytes_.refuse("an instruction lacks a value");
    return *stack_.back();
  }
  std::vector<const PickleValue*> take_to_mark() {
    if (marks_.empty()) bytes_.refuse("an instruction lacks a mark");
    std::vector<const PickleValue*> values(stack_.begin() + std::ptrdiff_t(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return values;
  }
  // The last `count`, in the order in which they came.
  std::vector<const PickleValue*> take_last(size_t count) {
    std::vector<const PickleValue*> values(count);
    for (size_t i = count; i-- > 0;) values[i] = take();
    return values;
  }

  void push_integer(int64_t value) {
    PickleValue* made = make(Kind::integer);
    made->integer = value;
    push(made);
  }
  void push_boolean(bool value) {
    PickleValue* made = make(Kind::boolean);
    made->integer = value;
    push(made);
  }
  void push_text(uint64_t bytes) {
    PickleValue* made = make(Kind::text);
    made->text = bytes_.text(bytes);
    push(made);
  }
  void push_items(Kind kind, std::vector<const PickleValue*> items) {
    PickleValue* made = make(kind);
    made->items = std::move(items);
    push(made);
  }
  void push_global(const std::string& module, const std::string& name) {
    PickleValue* made = make(Kind::global);
    made->text = module + "." + name;
    if (checked_.emplace(made->text, true).second) check_(made->text);
    push(made);
  }
  void push_long() {
    const std::string bytes = bytes_.text(bytes_.byte());
    if (bytes.size() > 8) {
      PickleValue* made = make(Kind::big);
      made->text = bytes;
      return push(made);
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.size(); ++i) value |= uint64_t{uint8_t(bytes[i])} << (8 * i);
    const bool negative = !bytes.empty() && (uint8_t(bytes.back()) & 0x80) != 0;
    if (negative && bytes.size() < 8) value |= ~uint64_t{0} << (8 * bytes.size());
    push_integer(int64_t(value));
  }

  void remember(uint64_t index) { memo_[index] = &top(); }
  void recall(uint64_t index) {
    const auto found = memo_.find(index);
    if (found == memo_.end()) bytes_.refuse("it refers to value {}, which it has not stored", index);
    push(found->second);
  }

  void add_to_list(const std::vector<const PickleValue*>& values) {
    PickleValue& to = top();
    if (!to.is(Kind::list)) bytes_.refuse("values are added to what is no list");
    to.items.insert(to.items.end(), values.begin(), values.end());
  }
  void add_to_dict(const std::vector<const PickleValue*>& values) {
    PickleValue& to = top();
    if (!to.is(Kind::dict)) bytes_.refuse("values are added to what is no dict");
    if (values.size() % 2 != 0) bytes_.refuse("a key without a value");
    to.items.insert(to.items.end(), values.begin(), values.end());
  }

  void push_call() {
    const PickleValue* arguments = take();
    const PickleValue* callee = take();
    if (!callee->is(Kind::global) || !arguments->is(Kind::tuple))
      bytes_.refuse("a call of what is no function");
    if (callee->text != "collections.OrderedDict") return push_items(Kind::call, {callee, arguments});
    // Python 2 gives its items as one list of lists of two; later versions add them afterwards.
    std::vector<const PickleValue*> items;
    if (!arguments->items.empty())
      for (const PickleValue* pair : arguments->items[0]->items) {
        if (pair->items.size() != 2) bytes_.refuse("an OrderedDict of other things than pairs");
        items.insert(items.end(), pair->items.begin(), pair->items.end());
      }
    push_items(Kind::dict, std::move(items));
  }

  void step(uint8_t instruction) {
    switch (instruction) {
      case proto:
        if (const int version = bytes_.byte(); version < 2 || version > 5)
          bytes_.refuse("protocol {}; 2 to 5 are known", version);
        return;
      case frame: bytes_.number(8); return;
      case mark: marks_.push_back(stack_.size()); return check_marks();
      case pop: take(); return;
      case pop_mark: take_to_mark(); return;
      case dup: return push(&top());
      case none: return push(make(Kind::none));
      case newtrue: return push_boolean(true);
      case newfalse: return push_boolean(false);
      case binint: return push_integer(int32_t(uint32_t(bytes_.number(4))));
      case binint1: return push_integer(int64_t(bytes_.number(1)));
      case binint2: return push_integer(int64_t(bytes_.number(2)));
      case long1: return push_long();
      case binfloat: {
        uint64_t bits = 0;  // big-endian, alone among all numbers
        for (int i = 0; i < 8; ++i) bits = bits << 8 | bytes_.byte();
        PickleValue* made = make(Kind::real);
        made->real = std::bit_cast<double>(bits);
        return push(made);
      }
      case short_binunicode:
      case short_binstring:
      case short_binbytes: return push_text(bytes_.byte());
      case binunicode:
      case binstring:
      case binbytes: return push_text(bytes_.number(4));
      case binunicode8:
      case binbytes8: return push_text(bytes_.number(8));
      case empty_tuple: return push_items(Kind::tuple, {});
      case tuple: return push_items(Kind::tuple, take_to_mark());
      case tuple1: return push_items(Kind::tuple, take_last(1));
      case tuple2: return push_items(Kind::tuple, take_last(2));
      case tuple3: return push_items(Kind::tuple, take_last(3));
      case empty_list: return push_items(Kind::list, {});
      case list: return push_items(Kind::list, take_to_mark());
      case append: return add_to_list(take_last(1));
      case appends: return add_to_list(take_to_mark());
      case empty_dict: return push_items(Kind::dict, {});
      case dict: {
        std::vector<const PickleValue*> items = take_to_mark();
        push_items(Kind::dict, {});
        return add_to_dict(items);
      }
      case setitem: return add_to_dict(take_last(2));
      case setitems: return add_to_dict(take_to_mark());
      case binput: return remember(bytes_.number(1));
      case long_binput: return remember(bytes_.number(4));
      case memoize: return remember(memo_.size());
      case binget: return recall(bytes_.number(1));
      case long_binget: return recall(bytes_.number(4));
      case global_name: {
        const std::string module = bytes_.line();
        return push_global(module, bytes_.line());
      }
      case stack_global: {
        const PickleValue* name = take();
        const PickleValue* module = take();
        const bool named = name->is(Kind::text) && module->is(Kind::text) &&
                           std::max(name->text.size(), module->text.size()) <= kMostNameBytes;
        if (!named) bytes_.refuse("a name that is no short text");
        return push_global(module->text, name->text);
      }
      case reduce:
      case newobj: return push_call();
      case build:  // attributes of an object: a state dict's `_metadata`, which says nothing of weights
        take();
        if (!top().is(Kind::dict) && !top().is(Kind::call)) bytes_.refuse("attributes of what has none");
        return;
      case binpersid: return push_items(Kind::persistent, {take()});
      default: bytes_.refuse("instruction {:#04x}, which weights do not need", instruction);
    }
  }
  void check_marks() const {
    if (marks_.size() > Pickle::kMostValues) bytes_.refuse("more than {} marks", Pickle::kMostValues);
  }

  Pickle& to_;
  Bytes& bytes_;
  const Pickle::CheckGlobal& check_;
  std::vector<PickleValue*> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  std::unordered_map<uint64_t, PickleValue*> memo_;
  std::unordered_map<std::string, bool> checked_;  // globals that are allowed
};

Pickle Pickle::read(const InputFile& file, uint64_t begin, uint64_t end, const CheckGlobal& check) {
  Pickle pickle;
  Bytes bytes(file, begin, std::min(end, begin + kMostBytes));
  pickle.value_ = PickleMachine(pickle, bytes, check).run();
  pickle.end_ = bytes.at();
  return pickle;
}

}  // namespace gan
