// The command line: QEMU's names and value syntax, read into a MachineConfig.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "machine/options/machine_config.h"

namespace calco::machine {

// What a command line means.
struct CommandLine {
  MachineConfig config;
  // Set where the user asked for words instead of a machine (-help, -version, "-M help"): print them, end with 0.
  std::optional<std::string> answer;
};

// `arguments` without the program's name. Throws OptionError, whose text names the option and says what would be right.
// Reads no file and creates nothing.
CommandLine parse_command_line(std::span<const char* const> arguments);

}  // namespace calco::machine
