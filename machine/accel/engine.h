// An engine for guest code, as a whole machine has it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cpu/system/cpu_model.h"
#include "machine/accel/accelerator.h"
#include "machine/pc/time_stamp_counter.h"

namespace calco::machine {

struct PcBoard;

// Interpreter, translator, KVM. What the processors of a machine share of it; makes their accelerators.
//
// Threads: the machine's owner, except where something else is said.
class Engine {
 public:
  virtual ~Engine() = default;
  // As the command line has it.
  virtual std::string_view name() const = 0;

  // Before the board is built: takes away what the engine cannot give the guest.
  virtual void adapt(cpu::CpuModel& /*model*/) {}
  virtual TimeStampCounter::Options time_stamp_counter() const { return {}; }

  // The board is there; nothing runs. Device lock held. The board outlives the engine's use.
  virtual void attach(PcBoard& /*board*/) {}
  // Undoes attach(), its accelerators being gone: another engine goes on with the guest. Every processor paused, device
  // lock held.
  virtual void detach(PcBoard& /*board*/) {}
  // After attach(): the part for processor `index`, which the engine outlives.
  virtual std::unique_ptr<Accelerator> make_accelerator(unsigned index) = 0;

  // For an engine that does the work of some of the board's chips itself. Every accelerator is made and every processor
  // paused, device lock held. Takes over the chips' state, at the beginning and after a reset; throws
  // std::system_error.
  virtual void load_devices() {}
  // Brings the state into the chips, for those who look or who go on with the guest.
  virtual void store_devices() {}

  // Why this engine, not yet attached, cannot go on with the guest of another, in one line; empty: it can. Every
  // processor paused. The default is for engines of which the guest sees Calco's own processor.
  virtual std::string refusal(const PcBoard& board) const;
  // Guest time stands still from now on, and goes on. Every processor paused, device lock held.
  virtual void time_stops() {}
  virtual void time_goes_on() {}

  // For `info jit`: what the translator did, lines ended by \n. Null: there is none. Every processor paused.
  virtual std::optional<std::string> translation_report() const { return std::nullopt; }
  // For `info accel`: lines ended by \n. Every processor paused.
  virtual std::string describe() const = 0;
};

}  // namespace calco::machine
