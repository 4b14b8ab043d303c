// What is known of a region before code is made for it: its edges, and which guest state it touches.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "jit/llvm/region.h"

namespace calco::jit {

// The parts of the guest state that a region keeps in values: general registers 0-15, the lazy flags, vector registers.
namespace variable {
constexpr unsigned kFlagFirst = 16, kFlagSecond = 17, kFlagKind = 18, kVector = 19, kCount = 35;
}

// One bit a variable.
using VariableSet = uint64_t;
constexpr VariableSet kFlagVariables =
    uint64_t{1} << variable::kFlagFirst | uint64_t{1} << variable::kFlagSecond | uint64_t{1} << variable::kFlagKind;
constexpr VariableSet variable_bit(unsigned number) { return uint64_t{1} << number; }

struct RegionGraph {
  explicit RegionGraph(const Region& region);

  struct Node {
    bool reachable = false;
    unsigned edges_in = 0;  // from reachable blocks of the region
    VariableSet dirty = 0;  // may differ from the CpuState when the block is entered
    // The kind of lazy flags at the block's beginning, where it is always the same.
    std::optional<uint32_t> flag_kind;
  };

  // The block that a jump from block `from` to this offset from its page leads to.
  std::optional<size_t> block_at(size_t from, int32_t target) const;
  // Whether control that goes from one to the other gets into another page.
  bool changes_page(size_t from, size_t to) const { return region_.page_start(from) != region_.page_start(to); }
  // Variables that keep the value they have on entry.
  VariableSet constant() const { return interprets ? 0 : ~written; }
  // Ways that go round lead over such an edge.
  bool is_back_edge(size_t from, size_t to) const { return region_.original(to) <= region_.original(from); }
  // The blocks that a block's direct jumps lead to, or its indirect one is guessed to lead to.
  const std::vector<size_t>& successors(size_t block) const { return successors_[block]; }

  // The blocks on the shortest way from a block round to itself, which comes first; none where there is no way.
  std::vector<size_t> way_round(size_t start) const;

  std::vector<Node> nodes;  // one a block
  VariableSet touched = 0;  // read or written anywhere; the registers of the calling convention always
  VariableSet written = 0;
  // Written to the CpuState on entry: they do not change, so that nothing else needs to.
  VariableSet stored_on_entry = 0;
  bool has_loop = false;
  bool interprets = false;    // has operations of the interpreter, which may write everything
  bool wide_vectors = false;  // VEX instructions: vector registers have 256 bits

 private:
  void find_edges(const Region& region);
  void find_uses(const Region& region);
  void find_dirty(const Region& region);
  void find_flag_kinds(const Region& region);
  std::vector<size_t> targets_of(size_t number) const;
  std::vector<size_t> return_sites() const;

  const Region& region_;
  std::vector<std::vector<size_t>> successors_;
};

// The guest registers that the calling convention carries.
VariableSet argument_variables();
VariableSet variables_written(const ir::Block& block, const ir::Instruction& instruction);
VariableSet variables_read(const ir::Block& block, const ir::Instruction& instruction);
// Of the lazy flags behind a block, where it is the same whatever it was before.
std::optional<uint32_t> flag_kind_at_end(const ir::Block& block);

}  // namespace calco::jit
