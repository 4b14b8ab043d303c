#include "devices/irq/pic8259.h"

#include <fmt/format.h>

#include "machine/core/archive.h"

namespace calco::devices {

namespace {

// ICW1 (8259A data sheet, "Initialization Command Words").
constexpr uint8_t kIcw1 = 0x10;
constexpr uint8_t kIcw1NeedsIcw4 = 0x01;
constexpr uint8_t kIcw1Single = 0x02;
// ICW4.
constexpr uint8_t kIcw4AutoEndOfInterrupt = 0x02;
constexpr uint8_t kIcw4SpecialFullyNested = 0x10;
// OCW3.
constexpr uint8_t kOcw3 = 0x08;
constexpr uint8_t kOcw3ReadRegister = 0x02;
constexpr uint8_t kOcw3InService = 0x01;
constexpr uint8_t kOcw3Poll = 0x04;
constexpr uint8_t kOcw3ChangeSpecialMask = 0x40;
constexpr uint8_t kOcw3SpecialMask = 0x20;

constexpr int kNone = -1;
constexpr int kSpurious = 7;
constexpr int kSlaveInput = 2;

constexpr uint8_t bit(int input) { return static_cast<uint8_t>(1u << input); }

}  // namespace

void Pic8259::reset() {
  // The chip has no RESET pin; the platform's reset is modelled as power-on. The pins belong to their drivers.
  requests_ = in_service_ = mask_ = level_triggered_ = vector_base_ = 0;
  lowest_priority_ = 7;
  initialization_ = Initialization::Done;
  expects_icw4_ = single_ = read_in_service_ = poll_ = false;
  special_mask_ = special_fully_nested_ = auto_end_of_interrupt_ = rotate_on_auto_end_ = false;
  update_output();
}

void Pic8259::serialize(Archive& archive) {
  archive.section(name());
  archive.field("pins", pins_);
  archive.field("requests", requests_);
  archive.field("in_service", in_service_);
  archive.field("mask", mask_);
  archive.field("level_triggered", level_triggered_);
  archive.field("vector_base", vector_base_);
  archive.field("lowest_priority", lowest_priority_);
  archive.field("initialization", initialization_);
  archive.field("expects_icw4", expects_icw4_);
  archive.field("single", single_);
  archive.field("read_in_service", read_in_service_);
  archive.field("poll", poll_);
  archive.field("special_mask", special_mask_);
  archive.field("special_fully_nested", special_fully_nested_);
  archive.field("auto_end_of_interrupt", auto_end_of_interrupt_);
  archive.field("rotate_on_auto_end", rotate_on_auto_end_);
  if (!archive.loading()) return;
  if (lowest_priority_ > 7) throw ArchiveError("8259: lowest priority out of range");
  update_output();
}

void Pic8259::set_input(int input, bool level) {
  const uint8_t mask = bit(input);
  const bool rising = level && (pins_ & mask) == 0;
  pins_ = static_cast<uint8_t>(level ? pins_ | mask : pins_ & ~mask);
  // A request must stay high until it is acknowledged; one that falls before is forgotten (and gives a spurious 7).
  if (!level) requests_ = static_cast<uint8_t>(requests_ & ~mask);
  if (rising || (level && (level_triggered_ & mask) != 0)) requests_ |= mask;
  update_output();
}

Pic8259::Registers Pic8259::registers() const {
  return {.requests = requests_,
          .in_service = in_service_,
          .mask = mask_,
          .level_triggered = level_triggered_,
          .vector_base = vector_base_,
          .lowest_priority = lowest_priority_,
          .initialization = initialization_,
          .expects_icw4 = expects_icw4_,
          .single = single_,
          .read_in_service = read_in_service_,
          .poll = poll_,
          .special_mask = special_mask_,
          .special_fully_nested = special_fully_nested_,
          .auto_end_of_interrupt = auto_end_of_interrupt_,
          .rotate_on_auto_end = rotate_on_auto_end_};
}

void Pic8259::set_registers(const Registers& registers) {
  requests_ = registers.requests;
  in_service_ = registers.in_service;
  mask_ = registers.mask;
  level_triggered_ = registers.level_triggered & level_selectable_;
  vector_base_ = registers.vector_base;
  lowest_priority_ = registers.lowest_priority & 7;
  initialization_ = registers.initialization;
  expects_icw4_ = registers.expects_icw4;
  single_ = registers.single;
  read_in_service_ = registers.read_in_service;
  poll_ = registers.poll;
  special_mask_ = registers.special_mask;
  special_fully_nested_ = registers.special_fully_nested;
  auto_end_of_interrupt_ = registers.auto_end_of_interrupt;
  rotate_on_auto_end_ = registers.rotate_on_auto_end;
  update_output();
}

void Pic8259::isolate(bool isolated) {
  isolated_ = isolated;
  update_output();
}

std::string Pic8259::describe() const {
  return fmt::format("{}: irr={:02x} imr={:02x} isr={:02x} pins={:02x} elcr={:02x} vector={:02x} lowest priority={}\n",
                     name(), requests_, mask_, in_service_, pins_, level_triggered_, vector_base_, lowest_priority_);
}

void Pic8259::set_edge_level_control(uint8_t value) {
  level_triggered_ = value & level_selectable_;
  requests_ |= pins_ & level_triggered_;
  update_output();
}

int Pic8259::highest_ranked(uint8_t inputs) const {
  for (int order = 1; order <= 8; ++order) {
    const int input = (lowest_priority_ + order) & 7;
    if ((inputs & bit(input)) != 0) return input;
  }
  return kNone;
}

// The request that the chip would put in service now, or kNone.
int Pic8259::pending_input() const {
  const int request = highest_ranked(static_cast<uint8_t>(requests_ & ~mask_));
  if (request == kNone) return kNone;
  uint8_t blocking = in_service_;
  // In special mask mode levels in service that are masked inhibit nobody.
  if (special_mask_) blocking = static_cast<uint8_t>(blocking & ~mask_);
  // In special fully nested mode the slave may interrupt its own service.
  if (special_fully_nested_ && role_ == Role::Master && request == kSlaveInput) {
    blocking = static_cast<uint8_t>(blocking & ~bit(kSlaveInput));
  }
  const int serviced = highest_ranked(blocking);
  if (serviced != kNone && rank(serviced) <= rank(request)) return kNone;
  return request;
}

void Pic8259::update_output() { output_.set(!isolated_ && pending_input() != kNone); }

void Pic8259::put_in_service(int input) {
  // A level-triggered request lasts as long as its pin is high.
  if ((level_triggered_ & bit(input)) == 0) requests_ = static_cast<uint8_t>(requests_ & ~bit(input));
  if (!auto_end_of_interrupt_) {
    in_service_ |= bit(input);
  } else if (rotate_on_auto_end_) {
    lowest_priority_ = static_cast<uint8_t>(input);
  }
}

int Pic8259::acknowledge_input() {
  const int input = pending_input();
  if (input == kNone) return kSpurious;
  put_in_service(input);
  // INT falls with the acknowledge even where another request follows, so that an edge is seen for that one.
  output_.lower();
  update_output();
  return input;
}

void Pic8259::end_of_interrupt(int input, bool rotate) {
  if (input == kNone) return;
  in_service_ = static_cast<uint8_t>(in_service_ & ~bit(input));
  if (rotate) lowest_priority_ = static_cast<uint8_t>(input);
}

uint8_t Pic8259::poll() {
  poll_ = false;
  const int input = pending_input();
  if (input == kNone) return 0;
  put_in_service(input);
  update_output();
  return static_cast<uint8_t>(0x80 | input);
}

uint64_t Pic8259::read(uint64_t offset, unsigned) {
  if (poll_) return poll();
  if ((offset & 1) != 0) return mask_;
  return read_in_service_ ? in_service_ : requests_;
}

void Pic8259::write(uint64_t offset, unsigned, uint64_t value) {
  if ((offset & 1) != 0) {
    write_data(static_cast<uint8_t>(value));
  } else {
    write_command(static_cast<uint8_t>(value));
  }
  update_output();
}

void Pic8259::write_command(uint8_t value) {
  if ((value & kIcw1) != 0) {
    begin_initialization(value);
  } else if ((value & kOcw3) != 0) {
    write_ocw3(value);
  } else {
    write_ocw2(value);
  }
}

// "The edge sense circuit is reset", IMR cleared, IR7 lowest, special mask off, status read set to IRR.
void Pic8259::begin_initialization(uint8_t icw1) {
  requests_ = pins_ & level_triggered_;
  in_service_ = mask_ = 0;
  lowest_priority_ = 7;
  special_mask_ = read_in_service_ = poll_ = false;
  special_fully_nested_ = auto_end_of_interrupt_ = rotate_on_auto_end_ = false;
  expects_icw4_ = (icw1 & kIcw1NeedsIcw4) != 0;
  single_ = (icw1 & kIcw1Single) != 0;
  initialization_ = Initialization::ExpectIcw2;
}

void Pic8259::write_data(uint8_t value) {
  const Initialization after_icw3 = expects_icw4_ ? Initialization::ExpectIcw4 : Initialization::Done;
  switch (initialization_) {
    case Initialization::ExpectIcw2:
      vector_base_ = value & 0xf8;
      initialization_ = single_ ? after_icw3 : Initialization::ExpectIcw3;
      return;
    case Initialization::ExpectIcw3:
      // The cascade is wired on the board: the slave on IR2 whatever ICW3 says.
      initialization_ = after_icw3;
      return;
    case Initialization::ExpectIcw4:
      auto_end_of_interrupt_ = (value & kIcw4AutoEndOfInterrupt) != 0;
      special_fully_nested_ = (value & kIcw4SpecialFullyNested) != 0;
      initialization_ = Initialization::Done;
      return;
    default:
      mask_ = value;
  }
}

void Pic8259::write_ocw2(uint8_t value) {
  const int level = value & 7;
  // In special mask mode a non-specific EOI does not clear levels that are masked.
  const uint8_t eligible = special_mask_ ? static_cast<uint8_t>(in_service_ & ~mask_) : in_service_;
  switch (value >> 5) {
    case 0b001:  // non-specific EOI
      end_of_interrupt(highest_ranked(eligible), false);
      break;
    case 0b101:  // rotate on non-specific EOI
      end_of_interrupt(highest_ranked(eligible), true);
      break;
    case 0b011:  // specific EOI
      end_of_interrupt(level, false);
      break;
    case 0b111:  // rotate on specific EOI
      end_of_interrupt(level, true);
      break;
    case 0b110:  // set priority
      lowest_priority_ = static_cast<uint8_t>(level);
      break;
    case 0b100:  // rotate in automatic EOI mode: set
      rotate_on_auto_end_ = true;
      break;
    case 0b000:  // and clear
      rotate_on_auto_end_ = false;
      break;
    default:  // 010: no operation
      break;
  }
}

void Pic8259::write_ocw3(uint8_t value) {
  if ((value & kOcw3Poll) != 0) poll_ = true;
  if ((value & kOcw3ReadRegister) != 0) read_in_service_ = (value & kOcw3InService) != 0;
  if ((value & kOcw3ChangeSpecialMask) != 0) special_mask_ = (value & kOcw3SpecialMask) != 0;
}

PicPair::PicPair(IrqLine interrupt)
    : interrupt_(std::move(interrupt)),
      master_(Pic8259::Role::Master, kMasterLevelSelectable, IrqLine([this](bool level) {
                interrupt_level_ = level;
                interrupt_.set(level);
              })),
      slave_(Pic8259::Role::Slave, kSlaveLevelSelectable,
             IrqLine([this](bool level) { master_.set_input(kCascade, level); })) {}

void PicPair::reset() {
  slave_.reset();
  master_.reset();
}

void PicPair::serialize(Archive& archive) {
  archive.section(name());
  // The slave first: driving the master's input while it loads must not spoil what the master then loads.
  slave_.serialize(archive);
  master_.serialize(archive);
  if (archive.loading()) interrupt_.repeat();
}

void PicPair::set_input(int irq, bool level) {
  const auto line = static_cast<size_t>(irq);
  if (level && !levels_[line]) ++raised_[line];
  levels_[line] = level;
  if (irq < 8) {
    master_.set_input(irq, level);
  } else {
    slave_.set_input(irq - 8, level);
  }
}

void PicPair::isolate(bool isolated) {
  slave_.isolate(isolated);
  master_.isolate(isolated);
}

void PicPair::set_registers(const Pic8259::Registers& master, const Pic8259::Registers& slave) {
  slave_.set_registers(slave);
  master_.set_registers(master);
}

int PicPair::acknowledge() {
  const int input = master_.acknowledge_input();
  if (input != kCascade) return master_.vector_of(input);
  return slave_.vector_of(slave_.acknowledge_input());
}

uint64_t PicPair::EdgeLevelControl::read(uint64_t offset, unsigned) {
  return ((offset & 1) != 0 ? pair_.slave_ : pair_.master_).edge_level_control();
}

void PicPair::EdgeLevelControl::write(uint64_t offset, unsigned, uint64_t value) {
  ((offset & 1) != 0 ? pair_.slave_ : pair_.master_).set_edge_level_control(static_cast<uint8_t>(value));
}

}  // namespace calco::devices
