#include "jit/opt/pipeline.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>

#include "jit/ir/printer.h"
#include "jit/ir/verifier.h"
#include "jit/opt/common_subexpressions.h"
#include "jit/opt/dead_code.h"
#include "jit/opt/dead_flags.h"
#include "jit/opt/fold.h"
#include "jit/opt/forward_registers.h"
#include "jit/opt/fuse_flags.h"

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
  static constexpr std::array<Pass, 7> kPasses = {{
      {"forward-registers", &Options::forward_registers, forward_registers},
      {"fuse-flags", &Options::fuse_flags, fuse_flags},
      {"fold", &Options::fold, fold},
      {"common-subexpressions", &Options::common_subexpressions, share_common_subexpressions},
      {"dead-flags", &Options::dead_flags, remove_dead_flags},
      {"dead-registers", &Options::dead_registers, remove_dead_registers},
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
