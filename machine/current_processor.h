// Which of a machine's processors the calling thread is.
#pragma once

#include <optional>

namespace calco::machine {

// Some parts of the board answer according to who asks: every processor sees its own local APIC at the same address,
// and an SMI goes to the processor that wrote the port. The bus does not carry the asker, but a vCPU thread belongs to
// exactly one processor of one machine for its whole life, so its index is kept with the thread. This is the only
// thread-local state of Calco; it names no object.
std::optional<unsigned> current_processor();

// Marks the calling thread as processor `index`'s until destruction.
class CurrentProcessorScope {
 public:
  explicit CurrentProcessorScope(unsigned index);
  CurrentProcessorScope(const CurrentProcessorScope&) = delete;
  CurrentProcessorScope& operator=(const CurrentProcessorScope&) = delete;
  ~CurrentProcessorScope();
};

}  // namespace calco::machine
