#include "jit/llvm/region_graph.h"

#include <algorithm>
#include <deque>

#include "cpu/flags.h"
#include "cpu/state.h"
#include "jit/runtime/abi.h"

namespace calco::jit {

using ir::Opcode;

VariableSet argument_variables() {
  VariableSet set = 0;
  for (const uint8_t number : kArgumentRegisters) {
    if (number != cpu::kZero) set |= variable_bit(number);
  }
  return set;
}

namespace {

constexpr VariableSet vectors_of(uint16_t registers) { return VariableSet{registers} << variable::kVector; }
constexpr uint16_t kAllVectors = 0xFFFF;
constexpr VariableSet kAccumulators = variable_bit(cpu::kRax) | variable_bit(cpu::kRdx);

bool is_wide_arithmetic(Opcode opcode) {
  return opcode == Opcode::WideMultiply || opcode == Opcode::WideMultiplySigned || opcode == Opcode::WideDivide ||
         opcode == Opcode::WideDivideSigned;
}

}  // namespace

VariableSet variables_written(const ir::Block& block, const ir::Instruction& instruction) {
  VariableSet set = 0;
  if (instruction.opcode == Opcode::SetRegister) set |= variable_bit(instruction.auxiliary);
  if (is_wide_arithmetic(instruction.opcode)) set |= kAccumulators;
  if (instruction.opcode == Opcode::HostVector) set |= vectors_of(block.vectors[instruction.immediate].writes);
  if (instruction.opcode == Opcode::ClearUpperVectors) set |= vectors_of(kAllVectors);
  if (instruction.opcode != Opcode::Interpret && (ir::info(instruction.opcode).effects & ir::kWritesFlags) != 0) {
    set |= kFlagVariables;
  }
  return set;
}

VariableSet variables_read(const ir::Block& block, const ir::Instruction& instruction) {
  VariableSet set = 0;
  if (instruction.opcode == Opcode::GetRegister) set |= variable_bit(instruction.auxiliary);
  if (is_wide_arithmetic(instruction.opcode)) set |= kAccumulators;
  if (instruction.opcode == Opcode::HostVector) set |= vectors_of(block.vectors[instruction.immediate].reads);
  if (instruction.opcode == Opcode::ClearUpperVectors) set |= vectors_of(kAllVectors);
  if (instruction.opcode != Opcode::Interpret && (ir::info(instruction.opcode).effects & ir::kReadsFlags) != 0) {
    set |= kFlagVariables;
  }
  return set;
}

RegionGraph::RegionGraph(const Region& region) : nodes(region.blocks.size()), region_(region) {
  find_edges(region);
  find_uses(region);
  find_dirty(region);
  find_flag_kinds(region);
}

std::optional<size_t> RegionGraph::block_at(size_t from, int32_t target) const {
  const int64_t place = region_.page_start(from) + target;
  const size_t originals = region_.blocks.size() - region_.copies.size();
  size_t found = 0;
  while (found < originals && region_.place(found) != place) ++found;
  if (found == originals) return std::nullopt;
  for (size_t i = 0; i < region_.copies.size(); ++i) {
    const Region::Copy& copy = region_.copies[i];
    if (copy.original == found && copy.from == region_.original(from)) return originals + i;
  }
  return found;
}

std::vector<size_t> RegionGraph::targets_of(size_t number) const {
  const ir::Instruction& last = region_.blocks[number].terminator();
  std::vector<size_t> result;
  auto add = [&](int32_t target) {
    if (const auto index = block_at(number, target)) result.push_back(*index);
  };
  if (last.opcode == Opcode::Jump) add(static_cast<int32_t>(last.immediate));
  if (last.opcode == Opcode::Branch) {
    add(ir::taken_target(last));
    if (ir::not_taken_target(last) != ir::taken_target(last)) add(ir::not_taken_target(last));
  }
  if (last.opcode == Opcode::JumpIndirect) {
    if (static_cast<ir::JumpHint>(last.auxiliary) == ir::JumpHint::Return) return return_sites();
    if (!region_.indirect_targets.empty()) return region_.indirect_targets[number];
  }
  return result;
}

std::vector<size_t> RegionGraph::way_round(size_t start) const {
  std::vector<size_t> from(nodes.size(), nodes.size());
  std::deque<size_t> waiting{start};
  while (!waiting.empty() && from[start] == nodes.size()) {
    const size_t block = waiting.front();
    waiting.pop_front();
    for (const size_t next : successors(block)) {
      if (from[next] != nodes.size()) continue;
      from[next] = block;
      waiting.push_back(next);
    }
  }
  std::vector<size_t> way;
  if (from[start] == nodes.size()) return way;
  for (size_t block = from[start]; block != start; block = from[block]) way.push_back(block);
  way.push_back(start);
  std::ranges::reverse(way);
  return way;
}

// The blocks behind the region's calls.
std::vector<size_t> RegionGraph::return_sites() const {
  std::vector<size_t> result;
  if (!region_.guess_returns) return result;
  for (size_t i = 0; i < region_.blocks.size(); ++i) {
    const ir::Block& block = region_.blocks[i];
    const ir::Instruction& last = block.terminator();
    const bool jumps = last.opcode == Opcode::Jump || last.opcode == Opcode::JumpIndirect;
    if (!jumps || static_cast<ir::JumpHint>(last.auxiliary) != ir::JumpHint::Call) continue;
    const auto site = block_at(i, block.page_offset + block.byte_length);
    if (site && std::ranges::find(result, *site) == result.end()) result.push_back(*site);
  }
  return result;
}

void RegionGraph::find_edges(const Region& region) {
  for (size_t i = 0; i < region.blocks.size(); ++i) successors_.push_back(targets_of(i));
  std::vector<size_t> waiting{0};
  nodes[0].reachable = true;
  while (!waiting.empty()) {
    const size_t from = waiting.back();
    waiting.pop_back();
    for (const size_t to : successors_[from]) {
      ++nodes[to].edges_in;
      has_loop |= is_back_edge(from, to);
      if (nodes[to].reachable) continue;
      nodes[to].reachable = true;
      waiting.push_back(to);
    }
  }
}

void RegionGraph::find_uses(const Region& region) {
  touched = argument_variables();
  for (const ir::Block& block : region.blocks) {
    for (const ir::Instruction& instruction : block.code) {
      const VariableSet writes = variables_written(block, instruction);
      written |= writes;
      interprets |= instruction.opcode == Opcode::Interpret;
      touched |= writes | variables_read(block, instruction);
      wide_vectors |= instruction.opcode == Opcode::ClearUpperVectors;
      if (instruction.opcode != Opcode::HostVector) continue;
      const ir::HostVectorInstruction& vector = block.vectors[instruction.immediate];
      wide_vectors |= vector.vex || vector.long_vector;
    }
  }
}

void RegionGraph::find_dirty(const Region& region) {
  if (has_loop) stored_on_entry = argument_variables() & ~written;
  nodes[0].dirty = argument_variables() & ~stored_on_entry;
  bool changed = true;
  while (changed) {
    changed = false;
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (!nodes[i].reachable) continue;
      VariableSet dirty = nodes[i].dirty;
      for (const ir::Instruction& instruction : region.blocks[i].code) {
        dirty = instruction.opcode == Opcode::Interpret ? 0 : dirty | variables_written(region.blocks[i], instruction);
      }
      for (const size_t to : successors_[i]) {
        changed |= (dirty & ~nodes[to].dirty) != 0;
        nodes[to].dirty |= dirty;
      }
    }
  }
}

namespace {

// Unvisited, a known kind, or kMixed.
constexpr uint32_t kMixed = ~uint32_t{0};

uint32_t kind_after(const ir::Block& block, const ir::Instruction& instruction, uint32_t before) {
  auto log2_size = [&](ir::Value value) {
    return static_cast<unsigned>(block[value].type) - static_cast<unsigned>(ir::Type::I8);
  };
  switch (instruction.opcode) {
    case Opcode::SetFlags: {
      const auto kind = static_cast<cpu::FlagKind>(instruction.auxiliary);
      return cpu::flag_kind(kind, kind == cpu::FlagKind::Explicit ? 3 : log2_size(instruction.arguments[0]));
    }
    case Opcode::ChangeFlags:
      return cpu::flag_kind(cpu::FlagKind::Explicit, 3);
    case Opcode::SetFlagsWithCarry:
    case Opcode::SetFlagsOfShift:
    case Opcode::Interpret:
      return kMixed;
    default:
      return before;
  }
}

uint32_t kind_after(const ir::Block& block, uint32_t before) {
  for (const ir::Instruction& instruction : block.code) before = kind_after(block, instruction, before);
  return before;
}

}  // namespace

std::optional<uint32_t> flag_kind_at_end(const ir::Block& block) {
  const uint32_t kind = kind_after(block, kMixed);
  return kind == kMixed ? std::nullopt : std::optional{kind};
}

void RegionGraph::find_flag_kinds(const Region& region) {
  std::vector<std::optional<uint32_t>> entering(nodes.size());
  entering[0] = kMixed;
  bool changed = true;
  while (changed) {
    changed = false;
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (!entering[i]) continue;
      const uint32_t kind = kind_after(region.blocks[i], *entering[i]);
      for (const size_t to : successors_[i]) {
        const uint32_t joined = !entering[to] || *entering[to] == kind ? kind : kMixed;
        changed |= entering[to] != joined;
        entering[to] = joined;
      }
    }
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (entering[i] && *entering[i] != kMixed) nodes[i].flag_kind = entering[i];
  }
}

}  // namespace calco::jit
