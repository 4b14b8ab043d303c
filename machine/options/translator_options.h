// -accel jit,NAME=VALUE,...: the translator's settings.
#pragma once

#include <string>

#include "machine/options/machine_config.h"
#include "machine/options/option_values.h"

namespace calco::machine {

// Takes all out of the list. Throws OptionError where one is unknown or has no value that is possible.
void read_translator_settings(AcceleratorOptions& accelerator, OptionList& list);
// Every setting with its meaning, one a line.
std::string translator_help();

}  // namespace calco::machine
