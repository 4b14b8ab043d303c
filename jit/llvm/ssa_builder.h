// Guest state as SSA values across the blocks of a region.
//
// The algorithm is that of Braun et al., "Simple and Efficient Construction of Static Single Assignment Form" (CC
// 2013): a block that is asked for a variable it does not set asks its predecessors, and makes a phi where there are
// several.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include <functional>
#include <vector>

namespace calco::jit {

class SsaBuilder {
 public:
  // Gives a variable's value at the region's entry, placed in the prologue.
  using Initial = std::function<llvm::Value*(unsigned variable)>;

  // Block number `blocks` is the prologue in front of the region's blocks, which are 0 to blocks - 1. Of the variables
  // those that `constant` names are never written.
  SsaBuilder(size_t blocks, unsigned variables, uint64_t constant, Initial initial);

  size_t prologue() const { return blocks_.size() - 1; }
  void set_head(size_t block, llvm::BasicBlock* head, unsigned edges_in);
  void write(size_t block, unsigned variable, llvm::Value* value) { blocks_[block].values[variable] = value; }
  llvm::Value* read(size_t block, unsigned variable, llvm::Type* type);
  // Control reaches `to` from the end of `from`, out of the host block `source`. Call when `from` is complete.
  void add_edge(size_t from, size_t to, llvm::BasicBlock* source);
  // Removes phis that choose between one value and themselves. Call last.
  void remove_trivial_phis();

 private:
  struct Edge {
    size_t from;
    llvm::BasicBlock* source;
  };
  struct OpenPhi {
    unsigned variable;
    llvm::PHINode* phi;
  };
  struct Block {
    llvm::BasicBlock* head = nullptr;
    unsigned edges_in = 0;  // expected
    std::vector<Edge> edges;
    std::vector<llvm::Value*> values;
    std::vector<OpenPhi> open;  // phis to be completed when all edges are known
    bool complete() const { return edges.size() == edges_in; }
  };

  llvm::PHINode* add_phi(Block& block, llvm::Type* type);
  void fill(const Block& block, unsigned variable, llvm::PHINode* phi);

  std::vector<Block> blocks_;
  std::vector<llvm::PHINode*> phis_;
  const uint64_t constant_;
  Initial initial_;
};

}  // namespace calco::jit
