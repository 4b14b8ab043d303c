// Host files that the command line names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace calco::machine {

// The whole file. Throws OptionError naming `option` where it cannot be read, is no regular file, is empty, or is
// larger than `limit` bytes.
std::vector<uint8_t> read_file(std::string_view option, const std::string& path, uint64_t limit);

}  // namespace calco::machine
