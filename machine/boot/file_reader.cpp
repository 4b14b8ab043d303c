#include "machine/boot/file_reader.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "machine/core/option_error.h"

namespace calco::machine {

std::vector<uint8_t> read_file(std::string_view option, const std::string& path, uint64_t limit) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (error) throw OptionError(option, fmt::format("cannot read '{}': {}", path, error.message()));
  if (std::filesystem::is_directory(status)) {
    throw OptionError(option, fmt::format("'{}' is a directory, not a file", path));
  }
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw OptionError(option, fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  std::vector<uint8_t> bytes;
  constexpr size_t kPart = 1 << 20;
  while (file && bytes.size() <= limit) {
    const size_t have = bytes.size();
    bytes.resize(have + kPart);
    file.read(reinterpret_cast<char*>(bytes.data() + have), kPart);
    bytes.resize(have + static_cast<size_t>(file.gcount()));
  }
  if (file.bad()) throw OptionError(option, fmt::format("cannot read '{}'", path));
  if (bytes.empty()) throw OptionError(option, fmt::format("'{}' is empty", path));
  if (bytes.size() > limit) {
    throw OptionError(option, fmt::format("'{}' is larger than {} bytes, too large for this machine", path, limit));
  }
  return bytes;
}

}  // namespace calco::machine
