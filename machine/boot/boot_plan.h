// A kernel made ready for the guest: which bytes go to which address, and which option ROM starts it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace calco::machine {

// Bytes and the guest physical address they go to. A piece of an option ROM's work list; empty: not there.
struct BootPiece {
  uint32_t address = 0;
  std::vector<uint8_t> bytes;
};

// What the option ROM finds in fw_cfg's kernel items. In a Linux plan `setup` is the kernel's real-mode code with its
// header filled in; in a multiboot plan it is the information structure, and `initrd` holds the modules and strings.
struct BootPlan {
  enum class Protocol : uint8_t { Linux, Multiboot };
  Protocol protocol = Protocol::Linux;
  BootPiece setup;
  BootPiece kernel;
  BootPiece initrd;
  BootPiece command_line;
  uint32_t entry = 0;  // multiboot only
};

// A file's contents and the name to call it by in messages.
struct NamedImage {
  std::string name;
  std::vector<uint8_t> bytes;
};

}  // namespace calco::machine
