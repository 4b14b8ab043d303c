#include "machine/accel/engine.h"

#include "machine/pc/pc_board.h"

namespace calco::machine {

std::string Engine::refusal(const PcBoard& board) const {
  return board.model.is_host() ? "the guest was shown the host's processor (-cpu host), which only KVM gives it"
                               : std::string();
}

}  // namespace calco::machine
