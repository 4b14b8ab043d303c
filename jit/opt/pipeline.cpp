#include "jit/opt/pipeline.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>

#include "jit/ir/printer.h"
#include "jit/ir/verifier.h"
#include "jit/opt/dead_code.h"
#include "jit/opt/dead_flags.h"

namespace calco::jit::opt {

namespace {

void verify_after(std::string_view step, const ir::Block& block) {
  const std::vector<std::string> messages = verify(block);
  if (messages.empty()) return;
  fmt::print(stderr, "invalid IR after {}:\n{}\n{}", step, fmt::join(messages, "\n"), print(block));
  std::abort();
}

}  // namespace

std::span<const Pass> passes() {
  static constexpr std::array<Pass, 2> kPasses = {{
      {"dead-flags", &Options::dead_flags, remove_dead_flags},
      {"dead-code", &Options::dead_code, remove_dead_code},
  }};
  return kPasses;
}

void optimize(ir::Block& block, const Options& options, Scratch& scratch) {
  if (options.verify) verify_after("translation", block);
  for (const Pass& pass : passes()) {
    if (!(options.*pass.enabled)) continue;
    pass.run(block, scratch);
    if (options.verify) verify_after(pass.name, block);
  }
}

}  // namespace calco::jit::opt
