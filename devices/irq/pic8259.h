// Intel 8259A programmable interrupt controllers, the cascaded pair of the PC.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "machine/core/device.h"
#include "machine/core/irq_line.h"
#include "machine/core/register_window.h"

namespace calco::devices {

// One 8259A (Intel order number 231468), in 8086 mode; the MCS-80 vectors are not modelled. Each input is edge or
// level triggered by its bit in the chipset's ELCR instead of ICW1's LTIM (82371SB, 4.1.5).
//
// Window: 2 byte ports (A0 = 0, 1). Threads: every call with the device lock held.
class Pic8259 final : public Device, public RegisterWindow {
 public:
  enum class Role : uint8_t { Master, Slave };
  enum class Initialization : uint8_t { Done, ExpectIcw2, ExpectIcw3, ExpectIcw4 };

  // Everything but the levels of the inputs, which are the board's.
  struct Registers {
    uint8_t requests = 0;         // IRR
    uint8_t in_service = 0;       // ISR
    uint8_t mask = 0;             // IMR
    uint8_t level_triggered = 0;  // ELCR
    uint8_t vector_base = 0;
    uint8_t lowest_priority = 7;  // an input
    Initialization initialization = Initialization::Done;
    bool expects_icw4 = false;
    bool single = false;
    bool read_in_service = false;
    bool poll = false;
    bool special_mask = false;
    bool special_fully_nested = false;
    bool auto_end_of_interrupt = false;
    bool rotate_on_auto_end = false;
    bool operator==(const Registers&) const = default;
  };

  // `output` is the INT pin. `level_selectable` has a bit for each input whose ELCR bit the guest may set.
  Pic8259(Role role, uint8_t level_selectable, IrqLine output)
      : role_(role), level_selectable_(level_selectable), output_(std::move(output)) {}

  std::string_view name() const override { return role_ == Role::Master ? "i8259-master" : "i8259-slave"; }
  void reset() override;
  void serialize(Archive& archive) override;
  uint64_t read(uint64_t offset, unsigned size) override;
  void write(uint64_t offset, unsigned size, uint64_t value) override;
  unsigned maximum_access_size() const override { return 1; }

  // Drives input pin IR0 to IR7.
  void set_input(int input, bool level);
  // The two INTA cycles: puts the chosen request in service and returns the input's number; without a request it is
  // the spurious 7, with nothing in service.
  int acknowledge_input();
  // The vector that the chip puts on the bus for `input`.
  uint8_t vector_of(int input) const { return static_cast<uint8_t>(vector_base_ | input); }

  // For another chip that does this one's work: see PicPair::isolate().
  Registers registers() const;
  void set_registers(const Registers& registers);
  uint8_t pins() const { return pins_; }
  void isolate(bool isolated);

  // One line for the monitor.
  std::string describe() const;
  uint8_t edge_level_control() const { return level_triggered_; }
  void set_edge_level_control(uint8_t value);

 private:
  void write_command(uint8_t value);
  void write_data(uint8_t value);
  void begin_initialization(uint8_t icw1);
  void write_ocw2(uint8_t value);
  void write_ocw3(uint8_t value);
  uint8_t poll();
  // Rank of `input` in the rotating order; 0 is the highest priority.
  int rank(int input) const { return (input - lowest_priority_ - 1) & 7; }
  int highest_ranked(uint8_t inputs) const;
  int pending_input() const;
  void put_in_service(int input);
  void end_of_interrupt(int input, bool rotate);
  void update_output();

  const Role role_;
  const uint8_t level_selectable_;
  IrqLine output_;
  bool isolated_ = false;
  uint8_t pins_ = 0;             // levels of the inputs
  uint8_t requests_ = 0;         // IRR
  uint8_t in_service_ = 0;       // ISR
  uint8_t mask_ = 0;             // IMR
  uint8_t level_triggered_ = 0;  // ELCR
  uint8_t vector_base_ = 0;
  uint8_t lowest_priority_ = 7;
  Initialization initialization_ = Initialization::Done;
  bool expects_icw4_ = false;
  bool single_ = false;
  bool read_in_service_ = false;
  bool poll_ = false;
  bool special_mask_ = false;
  bool special_fully_nested_ = false;
  bool auto_end_of_interrupt_ = false;
  bool rotate_on_auto_end_ = false;
};

// Master and slave as the PC wires them: the slave's INT drives the master's IR2.
//
// Ports: master() at 20H, slave() at A0H (2 bytes each), edge_level_control() at 4D0H (2 bytes).
// Threads: every call with the device lock held.
class PicPair final : public Device {
 public:
  // Inputs whose ELCR bit can be set: IRQ0, 1, 2, 8 and 13 are always edge triggered (82371SB, 4.1.5).
  static constexpr uint8_t kMasterLevelSelectable = 0xf8, kSlaveLevelSelectable = 0xde;

  // `interrupt` is the master's INT pin, the PC's INTR.
  explicit PicPair(IrqLine interrupt);

  std::string_view name() const override { return "i8259"; }
  void reset() override;
  void serialize(Archive& archive) override;

  // Drives ISA interrupt line 0 to 15.
  void set_input(int irq, bool level);
  // The processor's interrupt acknowledge: the vector to deliver. Never fails: a request that has gone away gives
  // the vector of IRQ7 or IRQ15, as the chips do.
  int acknowledge();
  // What INTR shows.
  bool interrupt_pending() const { return interrupt_level_; }
  // While isolated, the chips hear their inputs and hold registers, but drive nothing: others do their work (KVM's).
  // What those have is shown by set_registers(), and gone on with after isolate(false). Read the registers before
  // isolating: the slave lets go of the master's input.
  void isolate(bool isolated);
  void set_registers(const Pic8259::Registers& master, const Pic8259::Registers& slave);
  // How often each ISA interrupt line has risen.
  const std::array<uint64_t, 16>& raised() const { return raised_; }

  Pic8259& master() { return master_; }
  Pic8259& slave() { return slave_; }
  RegisterWindow& edge_level_control() { return edge_level_control_; }

 private:
  // ELCR1 and ELCR2, ports 4D0H and 4D1H (82371SB, 4.1.5).
  class EdgeLevelControl final : public RegisterWindow {
   public:
    explicit EdgeLevelControl(PicPair& pair) : pair_(pair) {}
    uint64_t read(uint64_t offset, unsigned size) override;
    void write(uint64_t offset, unsigned size, uint64_t value) override;
    unsigned maximum_access_size() const override { return 1; }

   private:
    PicPair& pair_;
  };

  static constexpr int kCascade = 2;

  IrqLine interrupt_;
  bool interrupt_level_ = false;
  std::array<bool, 16> levels_{};
  std::array<uint64_t, 16> raised_{};
  Pic8259 master_;
  Pic8259 slave_;
  EdgeLevelControl edge_level_control_{*this};
};

}  // namespace calco::devices
