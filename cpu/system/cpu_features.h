// The names of CPUID feature flags, as the command line has them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "cpu/decode/instruction.h"
#include "cpu/system/cpu_model.h"

namespace calco::cpu {

struct FeatureFlag {
  std::string_view name;  // QEMU's
  FeatureWord word;
  uint8_t bit;
  bool implemented;                                 // by Calco, where the host can
  decode::Feature feature = decode::Feature::Base;  // the instructions that it switches; Base: none
};

// All flags that have a name.
std::span<const FeatureFlag> feature_flags();
// Whether guests can have it here: some instructions are executed by the host's own.
bool is_supported(const FeatureFlag& flag);
// The flag called `name` ('_' and '-' are the same, aliases included), or null.
const FeatureFlag* find_feature(std::string_view name);

}  // namespace calco::cpu
