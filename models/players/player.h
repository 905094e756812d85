// Networks with their optimisers, and the players that they are together.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/learning/optim.h"

namespace gan {

// One network of a model: named parameters, and how they learn.
struct Network {
  std::string name;  // of its tensors in files: "G", "D_A", "features"
  // Its initial weights are drawn from this stream of random numbers, its own among the model's networks.
  uint32_t stream = 0;
  bool averaged = false;  // keeps a moving average of its weights where --ema is on
  bool used = false;      // what the trained model makes pictures with
  // A network with either never learns. weights_from: the setting that names a safetensors file with the weights,
  // whose tensors are named as the network's parameters, with or without file_prefix before it. built_in puts weights
  // that the program holds into the parameters, on a device; with both it is asked first, and false says that the
  // setting's value names a file.
  std::string weights_from, file_prefix;
  std::function<bool(const Parameters&, const std::string& value)> built_in;
  // What that setting says in a checkpoint, which holds the network: not the file's place. Empty: what it says.
  std::string held_as;

  Parameters parameters;
  AdamOptimiser adam;  // of a network that learns

  bool learns() const { return weights_from.empty() && !built_in; }
};

// Networks that take their turn together: CycleGAN's two generators are one player. Each has an Adam of its own,
// which is the same as one over all of them.
struct Player {
  std::string name;  // "G"
  std::vector<Network*> networks;
  bool discriminates = false;  // learns at --lr-d
  int updates = 1;             // times that it learns in one step: Turn::learn()
};

}  // namespace gan
