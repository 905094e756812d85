// One setting, and a group of them that belong together.
//
// A setting is a member that also knows its name, its help and what it allows, so that one line declares all
// of it, beside the code that uses it:
//
//   struct PoolSettings : Group<PoolSettings> {
//     PoolSettings() : Group("image pool") {}
//     Setting<int> pool{*this, "pool", 0, "earlier pictures that the discriminator sees again", "0..10000", kTrain};
//   };
//
// In code it is its value: `if (settings.pool > 0)`. That line drives the flag --pool, its help, the key
// `pool` of TOML files, GAN_POOL, --dry-run, completion, config.toml and the headers of checkpoints. A model names
// the groups it has in its row of the zoo (models/zoo.cpp); the groups that all runs have are in config.h.
#pragma once
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

namespace gan {

// Which commands take a setting as an option, and what else is special about it.
enum SettingFlags : unsigned {
  kTrain = 1 << 0,
  kSample = 1 << 1,
  kTranslate = 1 << 2,
  kEval = 1 << 3,
  kInspect = 1 << 4,
  kOneCall = 1 << 5,  // about one call of the program: not written to config.toml
  kPace = 1 << 6,     // changes the pace only, never a result: not written to checkpoints
  kNetwork = 1 << 7,  // says what the networks are: a run goes on with what it was begun with
  kLength = 1 << 8,   // says when a run ends: one that is given replaces all of the preset's
};

struct SettingInfo {
  const char* name;    // as on the command line: "lr-policy"; the TOML key has _ for -
  const char* help;    // what it is, with its unit; says what 0 or an empty text means
  const char* values;  // "a|b|c" choices, or "min..max" for numbers (either end may be missing), or ""
  unsigned flags;
};

class SettingGroup;

// A setting of any type, for what walks over all of them.
class AnySetting {
 public:
  AnySetting(SettingGroup& group, const SettingInfo& info);
  AnySetting(const AnySetting&) = default;  // the copy belongs to the copy of the group
  virtual ~AnySetting() = default;

  const char* name() const { return info_.name; }
  const SettingInfo& info() const { return info_; }
  bool is(unsigned flag) const { return (info_.flags & flag) != 0; }

  virtual bool is_switch() const = 0;
  virtual std::string text() const = 0;  // as set() takes it: "0.9,0.1" for lists, "true" and "false"
  virtual std::string toml() const = 0;  // as a TOML value; Exit::usage for a text that is no UTF-8
  virtual std::string json() const = 0;  // as a JSON value; bytes that are no UTF-8 are replaced
  virtual std::string default_text() const = 0;
  // Checks type, choices and range. Exit::usage names the setting, the value, what is allowed and the remedy;
  // `source` says where the value stands: "--lr", "a.toml line 3: lr".
  virtual void set(const std::string& text, const std::string& source) = 0;
  // What may stand there, in words: "a whole number from 1 to 65536", "one of batch, instance, none".
  virtual std::string allowed() const = 0;
  // The kind of value, for readers that know types: 'b' true or false, 'i' whole number, 'r' real number,
  // 's' text, 'l' list of real numbers.
  virtual char kind() const = 0;

 private:
  SettingInfo info_;
};

template <class T>
class Setting : public AnySetting {
 public:
  Setting(SettingGroup& group, const char* name, std::type_identity_t<T> value, const char* help,
          const char* values, unsigned flags)
      : AnySetting(group, {name, help, values, flags}), value_(value), default_(value) {}
  Setting(const Setting&) = default;
  Setting& operator=(const Setting& other) {  // the value alone: name and group stay
    value_ = other.value_;
    return *this;
  }
  Setting& operator=(T value) {
    value_ = std::move(value);
    return *this;
  }
  operator const T&() const { return value_; }
  const T& operator*() const { return value_; }
  const T* operator->() const { return &value_; }

  bool is_switch() const override { return std::is_same_v<T, bool>; }
  std::string text() const override;
  std::string toml() const override;
  std::string json() const override;
  std::string default_text() const override;
  void set(const std::string& text, const std::string& source) override;
  std::string allowed() const override;
  char kind() const override;

 private:
  T value_, default_;
};
// bool, int, int64_t, double, std::string, std::vector<double>

inline bool operator==(const Setting<std::string>& a, const std::string& b) { return *a == b; }

// Settings with a heading in common. Copies are independent.
class SettingGroup {
 public:
  explicit SettingGroup(const char* heading) : heading_(heading) {}
  virtual ~SettingGroup() = default;
  virtual std::unique_ptr<SettingGroup> clone() const = 0;

  const char* heading() const { return heading_; }
  std::vector<AnySetting*> settings();  // in the order in which they are declared
  std::vector<const AnySetting*> settings() const;

 private:
  friend class AnySetting;
  const char* heading_;
  std::vector<std::ptrdiff_t> places_;  // of the settings, in bytes from this object: the same in every copy
};

// What a group is derived from.
template <class Self>
class Group : public SettingGroup {
 public:
  using SettingGroup::SettingGroup;
  std::unique_ptr<SettingGroup> clone() const override {
    return std::make_unique<Self>(static_cast<const Self&>(*this));
  }
};

}  // namespace gan

template <class T>
struct fmt::formatter<gan::Setting<T>> : fmt::formatter<T> {
  template <class Context>
  auto format(const gan::Setting<T>& setting, Context& context) const {
    return fmt::formatter<T>::format(*setting, context);
  }
};
