// The word that was meant, for "did you mean".
#pragma once
#include <string>
#include <string_view>

namespace gan {

// Edit distance: how many letters are inserted, deleted or replaced on the way from one word to the other.
int edit_distance(std::string_view a, std::string_view b);

// The first of the nearest words that are at most `furthest` from the text; empty: none is.
template <class Words>
std::string nearest_word(const Words& words, std::string_view text, int furthest) {
  std::string nearest;
  for (const auto& word : words)
    if (const int distance = edit_distance(word, text); distance <= furthest) {
      nearest = word;
      furthest = distance - 1;
    }
  return nearest;
}

// What other programs call an option, in our words: "batch" for "batch-size", "device cuda" for "gpu". Dashes and
// underscores are one. Empty: nothing known.
std::string our_word_for(std::string_view option);

}  // namespace gan
