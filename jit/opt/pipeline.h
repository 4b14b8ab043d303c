// The passes over a block between frontend and back end, in their order.
#pragma once

#include <span>
#include <string_view>

#include "jit/opt/scratch.h"

namespace calco::jit::opt {

// Which passes run; each can be switched off to find out whose fault something is.
struct Options {
  bool forward_registers = true;
  bool fuse_flags = true;
  bool fold = true;
  bool common_subexpressions = true;
  bool dead_flags = true;
  bool dead_registers = true;
  bool dead_code = true;
  // Check the block before the first and after every pass, and abort with it printed where it breaks a rule.
#ifdef __OPTIMIZE__
  bool verify = false;
#else
  bool verify = true;
#endif
};

struct Pass {
  std::string_view name;  // in "-accel jit,NAME=off"
  bool Options::* enabled;
  void (*run)(ir::Block& block, Scratch& scratch);
};

// In the order in which they run.
std::span<const Pass> passes();

// Runs the passes that are switched on. One thread at a time uses a Scratch.
void optimize(ir::Block& block, const Options& options, Scratch& scratch);

}  // namespace calco::jit::opt
