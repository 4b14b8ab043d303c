// The syntax that all options with commas share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace calco {

// The parts of "a=1,b,c=x,,y": split at single commas; two commas stand for one in a value.
std::vector<std::string> split_at_commas(std::string_view text);

}  // namespace calco
