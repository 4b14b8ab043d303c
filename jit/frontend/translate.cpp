// The loop over a block's instructions.
#include <algorithm>

#include "cpu/decode/row.h"
#include "cpu/exec/handlers.h"
#include "cpu/exec/translation.h"
#include "jit/frontend/frontend.h"
#include "jit/frontend/groups.h"

namespace calco::jit {
namespace {

using decode::Group;
using decode::Instruction;
using ir::Opcode;
using ir::Type;

constexpr uint16_t kPageMask = 0xFFF;

Outcome translate_instruction(Emitter& emit) {
  switch (emit.instruction().row->group) {
    case Group::Move:
      return translate_move(emit);
    case Group::Alu:
      return translate_alu(emit);
    case Group::MultiplyDivide:
      return translate_multiply_divide(emit);
    case Group::Shift:
      return translate_shift(emit);
    case Group::Bit:
      return translate_bit(emit);
    case Group::Flag:
      return translate_flag(emit);
    case Group::Control:
      return translate_control(emit);
    case Group::System:
      return translate_system(emit);
    case Group::X87:
      return translate_x87(emit);
    case Group::Vector:
      return translate_vector(emit);
    default:
      return Outcome::Interpret;
  }
}

bool is_switched_off(const Instruction& instruction, const FrontendOptions& options) {
  const Group group = instruction.row->group;
  return (group == Group::X87 && !options.x87) || (group == Group::Vector && !options.vectors);
}

// Translated code runs under the guest's MXCSR: what loads another ends it.
bool loads_mxcsr(const Instruction& instruction) {
  using decode::Mnemonic;
  switch (instruction.mnemonic) {
    case Mnemonic::Ldmxcsr:
    case Mnemonic::Vldmxcsr:
    case Mnemonic::Fxrstor:
    case Mnemonic::Fxrstor64:
    case Mnemonic::Xrstor:
    case Mnemonic::Xrstor64:
    case Mnemonic::Xrstors:
    case Mnemonic::Xrstors64:
      return true;
    default:
      return false;
  }
}

// x87 instructions that write no memory, and so cannot change the code of the next.
bool changes_no_code(const Instruction& instruction) {
  using decode::Mnemonic;
  if (instruction.row->group != Group::X87) return false;
  if (!instruction.has_memory()) return true;
  switch (instruction.mnemonic) {
    case Mnemonic::Fld:
    case Mnemonic::Fild:
    case Mnemonic::Fadd:
    case Mnemonic::Fmul:
    case Mnemonic::Fsub:
    case Mnemonic::Fsubr:
    case Mnemonic::Fdiv:
    case Mnemonic::Fdivr:
    case Mnemonic::Fiadd:
    case Mnemonic::Fimul:
    case Mnemonic::Fisub:
    case Mnemonic::Fisubr:
    case Mnemonic::Fidiv:
    case Mnemonic::Fidivr:
    case Mnemonic::Fcom:
    case Mnemonic::Fcomp:
    case Mnemonic::Ficom:
    case Mnemonic::Ficomp:
    case Mnemonic::Fldcw:
      return true;
    default:
      return false;
  }
}

class BlockTranslator {
 public:
  BlockTranslator(const CodeSource& source, ir::Block& block) : source_(source), block_(block), emit_(block) {}

  bool run();

 private:
  // False where the block has got its terminator.
  bool add_instruction();
  bool interpret(const Instruction& instruction);
  void interpret_at_end(const Instruction& instruction, const cpu::Op& op);
  void append_interpret(const Instruction& instruction, const cpu::Op& op);
  bool next_can_follow(const Instruction& instruction) const;
  void end(Opcode opcode);
  std::span<const uint8_t> rest() const { return source_.bytes.subspan(block_.byte_length); }
  uint16_t offset() const { return static_cast<uint16_t>(block_.page_offset + block_.byte_length); }

  const CodeSource& source_;
  ir::Block& block_;
  Emitter emit_;
  bool translated_any_ = false;
  size_t open_run_ = 0;  // as long as the block has so many operations, the last is an Interpret that may be continued
  size_t last_instruction_ = ~size_t{0};  // the block ends when it has so many: behind the one that follows STI
};

bool BlockTranslator::run() {
  block_.memory_offset = source_.memory_offset;
  block_.mode_key = source_.mode_key;
  block_.page_offset = source_.memory_offset & kPageMask;
  while (add_instruction()) {
    if (source_.next_page != nullptr) {
      end(Opcode::Jump);
      break;
    }
  }
  return translated_any_;
}

bool BlockTranslator::add_instruction() {
  if (rest().empty() || block_.guest.size() >= std::min<size_t>(source_.maximum_instructions, last_instruction_)) {
    end(Opcode::Jump);
    return false;
  }
  Instruction instruction;
  const decode::Status status = decode::decode(rest(), decode::CodeSize::Bits64, source_.features, instruction);
  if (status != decode::Status::Ok) {
    // What runs into the next page is a block of its own.
    end(status == decode::Status::NeedMoreBytes ? Opcode::Jump : Opcode::Leave);
    return false;
  }
  instruction.code_64 = true;
  const size_t operations = block_.code.size();
  const size_t vectors = block_.vectors.size(), x87 = block_.x87.size();
  emit_.begin(instruction, offset());
  if (source_.next_page != nullptr) emit_.bail_unless_next_page(source_.next_page);
  const bool left_out = is_switched_off(instruction, source_.options);
  Outcome outcome = left_out ? Outcome::Interpret : translate_instruction(emit_);
  if (outcome == Outcome::Interpret) {
    if (source_.next_page != nullptr) return false;
    block_.code.resize(operations);
    block_.vectors.resize(vectors);
    block_.x87.resize(x87);
    emit_.forget_x87();
    if (!interpret(instruction)) {
      if (block_.last) return false;
      block_.guest.pop_back();
      end(Opcode::Leave);
      return false;
    }
  } else {
    translated_any_ = true;
  }
  block_.byte_length = static_cast<uint16_t>(block_.byte_length + instruction.length);
  return outcome != Outcome::Ended;
}

// False where the interpreter ends blocks with the instruction, which may have ended this one too, or raises #UD.
bool BlockTranslator::interpret(const Instruction& instruction) {
  cpu::Op op{.handler = nullptr};
  const cpu::Selection selection = cpu::lower(instruction, offset(), op);
  if (selection.handler == nullptr || loads_mxcsr(instruction)) return false;
  op.handler = selection.handler;
  op.instructions = static_cast<uint8_t>(block_.guest.size());
  if (instruction.mnemonic == decode::Mnemonic::Sti && next_can_follow(instruction)) {
    op.handler = &cpu::enable_interrupts_behind_next;
    last_instruction_ = block_.guest.size() + 1;
    append_interpret(instruction, op);
    return true;
  }
  if (selection.ends_block) {
    interpret_at_end(instruction, op);
    return false;
  }
  append_interpret(instruction, op);
  return true;
}

// Interpreted operations that follow each other run on from one to the next, as they do in the interpreter.
void BlockTranslator::append_interpret(const Instruction& instruction, const cpu::Op& op) {
  if (open_run_ == block_.code.size() && open_run_ != 0) {
    block_.interpreted.back() = op;
  } else {
    emit_.append(Opcode::Interpret, Type::Void, {ir::kNoValue, ir::kNoValue, ir::kNoValue}, 0,
                 block_.interpreted.size());
    block_.interpreted.push_back(op);
  }
  block_.interpreted.push_back(cpu::Op{.handler = nullptr});
  open_run_ = changes_no_code(instruction) ? block_.code.size() : 0;
  translated_any_ = true;
}

// Near transfers are not among what hands the state back: they go on to the interpreter's next block.
void BlockTranslator::interpret_at_end(const Instruction& instruction, const cpu::Op& op) {
  if (instruction.row->group == Group::Control || !source_.options.last) return;
  end(Opcode::Leave);
  block_.last = op;
  block_.byte_length = static_cast<uint16_t>(block_.byte_length + instruction.length);
  translated_any_ = true;
}

// Whether the instruction behind this one will be in the block too.
bool BlockTranslator::next_can_follow(const Instruction& instruction) const {
  if (block_.guest.size() >= source_.maximum_instructions) return false;
  Instruction next;
  if (decode::decode(rest().subspan(instruction.length), decode::CodeSize::Bits64, source_.features, next) !=
      decode::Status::Ok) {
    return false;
  }
  next.code_64 = true;
  cpu::Op op{.handler = nullptr};
  return cpu::lower(next, 0, op).handler != nullptr && next.row->group != Group::Control && !loads_mxcsr(next);
}

// The block's end in front of an instruction. A block without instructions is dropped anyway.
void BlockTranslator::end(Opcode opcode) {
  if (block_.guest.empty()) return;
  emit_.append(opcode, Type::Void, {ir::kNoValue, ir::kNoValue, ir::kNoValue}, 0, offset());
}

}  // namespace

bool translate(const CodeSource& source, ir::Block& block) {
  block = {};
  return BlockTranslator(source, block).run();
}

}  // namespace calco::jit
