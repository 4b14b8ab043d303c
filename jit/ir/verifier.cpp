#include "jit/ir/verifier.h"

#include <fmt/format.h>

#include "cpu/flags.h"
#include "jit/ir/printer.h"
#include "jit/ir/syntax.h"

namespace calco::jit::ir {

namespace {

using cpu::FlagKind;

constexpr unsigned kPageBytes = 4096;

constexpr uint8_t set_of(Type type) { return static_cast<uint8_t>(1u << static_cast<unsigned>(type)); }

class Verifier {
 public:
  explicit Verifier(const Block& block) : block_(block) {}

  std::vector<std::string> run() {
    check_guest_instructions();
    if (block_.code.empty()) messages_.push_back("block without operations");
    if (block_.code.size() > kNoValue) messages_.push_back("too many operations");
    if (!messages_.empty()) return std::move(messages_);
    for (size_t i = 0; i < block_.code.size(); ++i) {
      at_ = static_cast<Value>(i);
      check(block_.code[i]);
    }
    return std::move(messages_);
  }

 private:
  void complain(std::string_view what) {
    messages_.push_back(fmt::format("operation {} ({}): {}", at_, print(block_, at_), what));
  }
  void require(bool good, std::string_view otherwise) {
    if (!good) complain(otherwise);
  }

  bool guards_next_page() const {
    return block_.guest.size() == 1 && block_.code.front().opcode == Opcode::BailUnlessNextPage;
  }

  void check_guest_instructions() {
    unsigned next = block_.page_offset;
    for (const GuestInstruction& guest : block_.guest) {
      if (guest.page_offset < next) messages_.push_back("guest instructions overlap or are out of order");
      next = guest.page_offset + guest.length;
      if (next > kPageBytes && !guards_next_page()) messages_.push_back("guest instruction outside of the page");
    }
    if (block_.guest.empty() || block_.guest.size() > 256) messages_.push_back("number of guest instructions");
  }

  void check(const Instruction& instruction) {
    if (instruction.opcode >= Opcode::Count || instruction.type > Type::I64) {
      messages_.push_back(fmt::format("operation {}: no such operation or type", at_));
      return;
    }
    const bool last = at_ + 1u == block_.code.size();
    const bool terminator = (info(instruction.opcode).effects & kTerminator) != 0;
    require(terminator == last, terminator ? "a terminator before the end" : "no terminator at the end");
    check_guest(instruction);
    const bool arguments_defined = check_arguments(instruction);
    check_auxiliary(instruction);
    check_immediate(instruction);
    if (arguments_defined) check_special(instruction);
    check_faults(instruction);
  }

  void check_guest(const Instruction& instruction) {
    require(instruction.guest < block_.guest.size(), "no such guest instruction");
    if (instruction.guest == guest_ && at_ != 0) return;
    require(instruction.guest >= guest_, "guest instructions go backwards");
    guest_ = instruction.guest;
    wrote_state_ = wrote_memory_ = interpreted_ = false;
    first_of_guest_ = at_;
  }

  bool check_arguments(const Instruction& instruction) {
    const Syntax& rules = syntax(instruction.opcode);
    const size_t before = messages_.size();
    require((rules.result & set_of(instruction.type)) != 0, "result type");
    for (unsigned i = 0; i < 3; ++i) {
      const Value argument = instruction.arguments[i];
      if (i >= info(instruction.opcode).arguments) {
        require(argument == kNoValue, "argument too many");
        continue;
      }
      const uint8_t allowed = rules.arguments[i];
      if (argument == kNoValue) {
        require((allowed & type_set::kOptional) != 0, "argument missing");
        continue;
      }
      if (argument >= at_) {
        complain(fmt::format("%{} is used before its definition", argument));
        continue;
      }
      const Type type = block_[argument].type;
      const bool like_result = (allowed & type_set::kLikeResult) != 0;
      require(like_result ? type == instruction.type : (allowed & set_of(type)) != 0,
              fmt::format("type of %{} is {}", argument, name(type)));
    }
    return messages_.size() == before;
  }

  void check_auxiliary(const Instruction& instruction) {
    const uint8_t auxiliary = instruction.auxiliary;
    switch (syntax(instruction.opcode).auxiliary) {
      case Auxiliary::None:
        require(auxiliary == 0, "auxiliary without meaning");
        break;
      case Auxiliary::Segment:
        require(auxiliary == cpu::kFs || auxiliary == cpu::kGs, "segment other than FS and GS");
        break;
      case Auxiliary::Scale:
        require(auxiliary <= 3, "scale");
        break;
      default:
        require(auxiliary < words(syntax(instruction.opcode).auxiliary).size(), "auxiliary out of range");
        break;
    }
  }

  void check_immediate(const Instruction& instruction) {
    const uint64_t immediate = instruction.immediate;
    switch (syntax(instruction.opcode).immediate) {
      case Immediate::None:
        require(immediate == 0, "immediate without meaning");
        break;
      case Immediate::Constant:
        require(instruction.type == Type::Void || instruction.type == Type::I64 ||
                    immediate >> bits_of(instruction.type) == 0,
                "constant wider than its type");
        break;
      case Immediate::FlagMask:
        require((immediate & ~cpu::rflags::kArithmetic) == 0 && immediate != 0, "mask of flags");
        break;
      case Immediate::Displacement:
      case Immediate::Target:
        require(static_cast<int64_t>(immediate) == static_cast<int32_t>(immediate), "more than signed 32 bits");
        break;
      case Immediate::HostAccess:
        require((immediate & 0xFF) != 0 && (immediate & ~(0xFF | kHostWrite | kHostAligned)) == 0, "access");
        break;
      case Immediate::Interpreted:
        require(immediate < block_.interpreted.size(), "index into Block::interpreted");
        break;
      case Immediate::Vector:
        require(immediate < block_.vectors.size(), "index into Block::vectors");
        break;
      case Immediate::X87:
        require(immediate < block_.x87.size(), "index into Block::x87");
        break;
      case Immediate::Targets:
        break;
    }
  }

  // What the tables do not say.
  void check_special(const Instruction& instruction) {
    const auto type_of = [&](unsigned i) { return block_[instruction.arguments[i]].type; };
    const bool writes_flags = (info(instruction.opcode).effects & kWritesFlags) != 0;
    const bool may_be_marked = writes_flags && instruction.opcode != Opcode::Interpret;
    require(instruction.marks == 0 || (may_be_marked && instruction.marks == kFlagsOnlyForFaults), "marks");
    switch (instruction.opcode) {
      case Opcode::SetFlags:
        check_set_flags(instruction);
        break;
      case Opcode::SetFlagsWithCarry:
        require(instruction.auxiliary == static_cast<uint8_t>(FlagKind::Add) ||
                    instruction.auxiliary == static_cast<uint8_t>(FlagKind::Subtract),
                "kind of flags");
        require(type_of(0) == type_of(1), "operands of different types");
        break;
      case Opcode::SetFlagsOfShift:
        require(instruction.auxiliary >= static_cast<uint8_t>(FlagKind::ShiftLeft), "kind of flags");
        require(type_of(0) == type_of(1), "operands of different types");
        break;
      case Opcode::Compare:
        require(type_of(0) == type_of(1), "operands of different types");
        break;
      case Opcode::Truncate:
        require(type_of(0) > instruction.type, "truncation to a type that is not narrower");
        break;
      case Opcode::ZeroExtend:
      case Opcode::SignExtend:
        require(type_of(0) < instruction.type, "extension to a type that is not wider");
        break;
      case Opcode::Interpret:
        require(at_ == first_of_guest_, "not alone in its guest instruction");
        x87_entered_ = false;
        break;
      case Opcode::EnterX87:
        x87_entered_ = true;
        break;
      case Opcode::HostX87:
        require(x87_entered_, "the host's x87 unit is not the guest's");
        check_host_x87(instruction);
        break;
      default:
        break;
    }
  }

  void check_set_flags(const Instruction& instruction) {
    const Type first = block_[instruction.arguments[0]].type;
    const Value second = instruction.arguments[1];
    switch (static_cast<FlagKind>(instruction.auxiliary)) {
      case FlagKind::Explicit:
        require(first == Type::I64, "explicit flags are an I64");
        [[fallthrough]];
      case FlagKind::Logic:
        require(second == kNoValue, "argument too many");
        break;
      case FlagKind::Increment:
      case FlagKind::Decrement:
        require(second != kNoValue && block_[second].type == Type::I1, "the carry is an I1");
        break;
      default:
        require(second != kNoValue && block_[second].type == first, "operands of different types");
        break;
    }
  }

  void check_host_x87(const Instruction& instruction) {
    if (instruction.immediate >= block_.x87.size()) return;
    using Argument = HostX87Instruction::Argument;
    const HostX87Instruction& x87 = block_.x87[instruction.immediate];
    const Value first = instruction.arguments[0];
    const Type wanted = x87.argument == Argument::Memory        ? Type::I64
                        : x87.argument == Argument::ControlWord ? Type::I16
                        : x87.argument == Argument::Condition   ? Type::I1
                                                                : Type::Void;
    require((first == kNoValue ? Type::Void : block_[first].type) == wanted, "argument of the x87 instruction");
    const Type result = x87.sets_flags ? Type::I64 : x87.gives_status ? Type::I16 : Type::Void;
    require(instruction.type == result, "result of the x87 instruction");
  }

  // A fault must find the guest instruction as if it had not begun.
  void check_faults(const Instruction& instruction) {
    const uint32_t effects = info(instruction.opcode).effects;
    require(!interpreted_ || (effects & kTerminator) != 0, "an interpreted guest instruction with other operations");
    if ((effects & kMayLeave) != 0) {
      require(!wrote_state_, "may leave after the guest instruction has written state");
      require(!wrote_memory_ || instruction.opcode == Opcode::Store,
              "may leave after the guest instruction has written memory");
    }
    wrote_state_ = wrote_state_ || (effects & (kWritesState | kWritesFlags)) != 0;
    wrote_memory_ = wrote_memory_ || (effects & kWritesMemory) != 0;
    interpreted_ = instruction.opcode == Opcode::Interpret;
  }

  const Block& block_;
  std::vector<std::string> messages_;
  Value at_ = 0;
  unsigned guest_ = 0;
  Value first_of_guest_ = 0;
  bool wrote_state_ = false;
  bool wrote_memory_ = false;
  bool interpreted_ = false;
  bool x87_entered_ = false;
};

}  // namespace

std::vector<std::string> verify(const Block& block) { return Verifier(block).run(); }

}  // namespace calco::jit::ir
