// Makes one random instruction of a row and the circumstances it needs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpu/decode/instruction.h"
#include "cpu/decode/row.h"
#include "cpu/state.h"
#include "tests/oracle/random.h"
#include "tests/oracle/test_case.h"

namespace calco::oracle {

// A register that must hold a value before the instruction, so that its addresses and operands make sense.
struct RegisterSetting {
  uint8_t number;
  uint64_t value;
};

// The same for a vector register.
struct VectorSetting {
  uint8_t number;
  cpu::VectorRegister value{};
};

inline bool is_string(const decode::Row& row) {
  return row.group == decode::Group::String || row.mnemonic == decode::Mnemonic::Ins ||
         row.mnemonic == decode::Mnemonic::Outs;
}

// Those of the XSAVE family that are for all privilege levels.
inline bool is_xsave(const decode::Row& row) {
  return row.feature >= decode::Feature::Xsave && row.feature <= decode::Feature::Xsavec &&
         row.group == decode::Group::FloatState && row.memory_form;
}

struct MadeInstruction {
  std::vector<uint8_t> bytes;
  decode::Instruction decoded;
  bool valid = false;
  bool unwanted = false;  // the host is known to do something else; see where it is set
  std::vector<RegisterSetting> settings;
  std::vector<VectorSetting> vectors;
  std::vector<Poke> pokes;
  unsigned displacement_at = 0;  // offset of a displacement in bytes; 0: none
  unsigned displacement_size = 4;
  bool relative_to_end = false;  // it counts from the instruction's end
  uint64_t target = 0;           // of that displacement
  unsigned branch_at = 0;        // offset of a relative branch's displacement; 0: none
  unsigned branch_size = 0;
  uint64_t memory_target = 0;  // address of the memory operand, where one was placed
  unsigned memory_size = 0;
};

// Bytes of an area of the XSAVE family with x87, SSE and AVX components.
constexpr unsigned kXsaveArea = 832;

class InstructionMaker {
 public:
  // `faults`: percentage of memory operands that are placed where they should fault.
  InstructionMaker(Random& random, const decode::FeatureSet& features, const MachineImage& initial,
                   decode::CodeSize code_size, unsigned faults)
      : random_(random),
        features_(features),
        initial_(initial),
        code_size_(code_size),
        code_64_(code_size == decode::CodeSize::Bits64),
        faults_(faults) {}

  MadeInstruction make(const decode::Row& row);

 private:
  void encode(const decode::Row& row);
  void encode_prefixes(const decode::Row& row);
  void encode_vex(const decode::Row& row);
  void encode_modrm(const decode::Row& row);
  void byte(unsigned value) { out_.bytes.push_back(static_cast<uint8_t>(value)); }

  uint64_t selector_of(unsigned segment) const;
  // Base address of a segment register of the test.
  uint64_t base_of(unsigned segment) const;
  // Bits above the address size that must not matter.
  uint64_t noise(unsigned address_size);
  void place_memory();
  void solve_address(uint64_t target);
  void place_gather(uint64_t target);
  void fill_xsave_area(uint64_t target);
  uint64_t choose_target(unsigned size, unsigned alignment);
  uint64_t faulting_target(unsigned size);
  unsigned memory_bytes() const;
  void fill_memory(uint64_t target);
  void prepare();
  void prepare_string();
  void prepare_branch();
  uint64_t branch_target();
  void prepare_frame();
  void prepare_division();
  void prepare_selectors();
  void prepare_shift();
  void prepare_components();
  void prepare_far_transfer();
  void prepare_far_return(bool interrupt);
  struct FarTarget {
    uint64_t offset;
    uint16_t selector;
  };
  FarTarget far_target();
  void set(unsigned number, uint64_t value) { out_.settings.push_back({static_cast<uint8_t>(number), value}); }
  bool is_address_register(unsigned number) const {
    return out_.decoded.has_memory() && (out_.decoded.memory.base == number || out_.decoded.memory.index == number);
  }
  // The same for a value that matters less than an address in the same register.
  void set_operand(unsigned number, uint64_t value) {
    if (!is_address_register(number)) set(number, value);
  }
  void poke(uint64_t address, std::span<const uint8_t> bytes);
  template <typename T>
  void poke_value(uint64_t address, const T& value) {
    poke(address, {reinterpret_cast<const uint8_t*>(&value), sizeof(T)});
  }

  Random& random_;
  const decode::FeatureSet& features_;
  const MachineImage& initial_;
  decode::CodeSize code_size_;
  bool code_64_;
  unsigned faults_;
  MadeInstruction out_;
  unsigned modrm_at_ = 0;
};

// Fills an FXSAVE area with a random legal state.
FxsaveArea random_fx(Random& random, bool in_block);
uint16_t random_selector(Random& random);

}  // namespace calco::oracle
