// Descriptions of records, and where backward passes in operations take their gradients.
#include "engine/tensor/record.h"

#include "engine/tensor/ops.h"

namespace gan {

// ------------------------------------------------------------------------------------ description and export

namespace {
std::string text_of(int64_t value) { return fmt::format("{}", value); }
std::string text_of(double value) { return fmt::format("{:g}", value); }
std::string text_of(const std::string& value) { return value; }
template <class T>
std::string text_of(const std::vector<T>& values) {
  std::string text;
  for (const T& value : values) text += (text.empty() ? "" : ",") + text_of(value);
  return "(" + text + ")";
}
}  // namespace

std::string to_string(const Attributes& attributes) {
  std::string text;
  for (const Attribute& a : attributes) {
    if (!text.empty()) text += " ";
    text += a.name + "=" + std::visit([](const auto& value) { return text_of(value); }, a.value);
  }
  return text;
}

const char* name_of(Act act) {
  switch (act) {
    case Act::none: return "none";
    case Act::relu: return "relu";
    case Act::leaky_relu: return "leaky_relu";
    case Act::tanh: return "tanh";
    case Act::sigmoid: return "sigmoid";
  }
  return "?";
}

void add_activation(Attributes& attributes, Activation act) {
  if (act.kind == Act::none) return;
  attributes.push_back({"act", name_of(act.kind)});
  if (act.kind == Act::leaky_relu) attributes.push_back({"slope", act.slope});
}

Exported Exported::then(std::string type, Attributes attributes, Attributes constants) const {
  Exported longer = *this;
  if (refusal.empty()) longer.chain.push_back({std::move(type), std::move(attributes), std::move(constants)});
  return longer;
}

Exported Exported::then(Activation act) const {
  switch (act.kind) {
    case Act::none: return *this;
    case Act::relu: return then("Relu");
    case Act::leaky_relu: return then("LeakyRelu", {{"alpha", act.slope}});
    case Act::tanh: return then("Tanh");
    case Act::sigmoid: return then("Sigmoid");
  }
  return *this;
}

Exported exported_as(std::string type, Attributes attributes, Attributes constants) {
  return Exported().then(std::move(type), std::move(attributes), std::move(constants));
}

Exported not_exported(std::string why) { return {.chain = {}, .refusal = std::move(why)}; }
Exported exported_never() { return not_exported("only backward passes have this operation"); }

// ------------------------------------------------------------------------------------------------- gradients

bool Gradients::wants(const Tensor& input) const {
  if (!input.needs_gradient()) return false;
  return !needed_ || needed_->contains(input.gradient().get());
}

void Gradients::give(const Tensor& input, const Tensor& gradient) {
  if (!wants(input)) return;
  if (!sums_) {
    give_gradient(input, gradient);
    return;
  }
  const Tensor part =
      cast(gradient.shape() == input.shape() ? gradient : reshape(gradient, input.shape()), input.dtype());
  const auto [sum, first] = sums_->try_emplace(input.gradient().get(), part);
  if (!first) sum->second = add(sum->second, part);
}

Tensor Gradients::output(const Tensor& saved) const {
  Tensor known = saved.detach();
  if (output_) known.set_gradient(output_);
  return known;
}

}  // namespace gan
