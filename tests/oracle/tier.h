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
  Llvm,  // everything through LLVM at once
};

inline std::optional<Tier> tier_of(std::string_view name) {
  if (name == "interpreter") return Tier::Interpreter;
  if (name == "ir") return Tier::Ir;
  if (name == "optimized-ir") return Tier::OptimizedIr;
  if (name == "baseline") return Tier::Baseline;
  if (name == "llvm") return Tier::Llvm;
  return std::nullopt;
}

}  // namespace calco::oracle
