// The back end that is not there: swallows output, never has input.
#pragma once

#include "devices/host/character_backend.h"

namespace calco::devices {

class NullBackend final : public CharacterBackend {
 public:
  size_t write(std::span<const uint8_t> bytes) override { return bytes.size(); }
  std::string description() const override { return "null"; }
};

}  // namespace calco::devices
