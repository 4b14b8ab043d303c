// What is said to a user whose command line makes no sense.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string_view>

namespace calco {

// Names the option and says what would be right: "-serial tcp:4444: port missing; write tcp:HOST:PORT".
class OptionError : public std::runtime_error {
 public:
  OptionError(std::string_view option, std::string_view explanation)
      : std::runtime_error(fmt::format("{}: {}", option, explanation)) {}
};

}  // namespace calco
