// `gan translate --video`: a film through a trained network, frame by frame.
#pragma once
#include <vector>

#include "tools/cli/commands.h"

namespace gan::tools {

std::vector<Option> options_of_video();
// The command; its exit code.
int translate_video(const Arguments& arguments);

}  // namespace gan::tools
