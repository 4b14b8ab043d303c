// What executes 64-bit code beside the host.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace calco::oracle {

enum class Tier : uint8_t {
  Interpreter,
  Ir,           // the translators' intermediate representation, evaluated, as the frontend makes it
  OptimizedIr,  // ... and behind the passes
  Baseline,
  Llvm,     // everything through LLVM at once, block by block
  Regions,  // a test runs twice: in the baseline, and then as one region of LLVM's, whose result is compared
};

// How hard LLVM tries. Quick: our lowering, its code generator without optimization, in a third of the time.
enum class LlvmLevel : uint8_t { Full, Quick };

inline std::optional<Tier> tier_of(std::string_view name) {
  if (name == "interpreter") return Tier::Interpreter;
  if (name == "ir") return Tier::Ir;
  if (name == "optimized-ir") return Tier::OptimizedIr;
  if (name == "baseline") return Tier::Baseline;
  if (name == "llvm") return Tier::Llvm;
  if (name == "regions") return Tier::Regions;
  return std::nullopt;
}

inline std::optional<LlvmLevel> llvm_level_of(std::string_view name) {
  if (name == "full") return LlvmLevel::Full;
  if (name == "quick") return LlvmLevel::Quick;
  return std::nullopt;
}

}  // namespace calco::oracle
