#include "jit/llvm/ssa_builder.h"

#include <llvm/IR/Instructions.h>

#include <utility>

namespace calco::jit {

SsaBuilder::SsaBuilder(size_t blocks, unsigned variables, uint64_t constant, Initial initial)
    : blocks_(blocks + 1), constant_(constant), initial_(std::move(initial)) {
  for (Block& block : blocks_) block.values.resize(variables);
}

void SsaBuilder::set_head(size_t block, llvm::BasicBlock* head, unsigned edges_in) {
  blocks_[block].head = head;
  blocks_[block].edges_in = edges_in;
}

llvm::PHINode* SsaBuilder::add_phi(Block& block, llvm::Type* type) {
  llvm::PHINode* phi = llvm::PHINode::Create(type, block.edges_in);
  phi->insertInto(block.head, block.head->begin());
  phis_.push_back(phi);
  return phi;
}

llvm::Value* SsaBuilder::read(size_t number, unsigned variable, llvm::Type* type) {
  Block& block = blocks_[number];
  if (llvm::Value* value = block.values[variable]) return value;
  llvm::Value* value = nullptr;
  if (number == prologue()) {
    value = initial_(variable);
  } else if (variable < 64 && (constant_ >> variable & 1) != 0) {
    value = read(prologue(), variable, type);
  } else if (!block.complete()) {
    llvm::PHINode* phi = add_phi(block, type);
    block.open.push_back({variable, phi});
    value = phi;
  } else if (block.edges.size() == 1) {
    value = read(block.edges[0].from, variable, type);
  } else {
    llvm::PHINode* phi = add_phi(block, type);
    block.values[variable] = phi;  // in front of the predecessors, which may ask for it in a loop
    fill(block, variable, phi);
    value = phi;
  }
  block.values[variable] = value;
  return value;
}

void SsaBuilder::fill(const Block& block, unsigned variable, llvm::PHINode* phi) {
  for (const Edge& edge : block.edges) phi->addIncoming(read(edge.from, variable, phi->getType()), edge.source);
}

void SsaBuilder::add_edge(size_t from, size_t to, llvm::BasicBlock* source) {
  Block& block = blocks_[to];
  block.edges.push_back({from, source});
  if (!block.complete()) return;
  const std::vector<OpenPhi> open = std::exchange(block.open, {});
  for (const OpenPhi& each : open) fill(block, each.variable, each.phi);
}

void SsaBuilder::remove_trivial_phis() {
  bool changed = true;
  while (changed) {
    changed = false;
    for (llvm::PHINode*& phi : phis_) {
      llvm::Value* const only = phi == nullptr ? nullptr : phi->hasConstantValue();
      if (only == nullptr) continue;
      phi->replaceAllUsesWith(only);
      phi->eraseFromParent();
      phi = nullptr;
      changed = true;
    }
  }
}

}  // namespace calco::jit
