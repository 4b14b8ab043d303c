#include "machine/pc/character_devices.h"

#include <stdexcept>
#include <variant>

#include "machine/core/option_error.h"

namespace calco::machine {

using devices::CharacterBackend;
using devices::CharacterSpec;

CharacterDevices::CharacterDevices(devices::EventLoop& loop, const std::vector<CharacterSpec>& chardevs,
                                   std::function<void()> quit)
    : loop_(loop), quit_(std::move(quit)) {
  for (const CharacterSpec& spec : chardevs) named_[spec.id].spec = spec;
}

CharacterBackend* CharacterDevices::connect(const std::string& option, const CharacterSpec& spec,
                                            const std::string& label) {
  if (std::holds_alternative<CharacterSpec::None>(spec.target)) return nullptr;
  if (const auto* reference = std::get_if<CharacterSpec::Reference>(&spec.target)) {
    return connect_named(option, reference->id);
  }
  Named& fresh = *anonymous_.emplace_back(std::make_unique<Named>());
  fresh.spec = spec;
  return open(option, fresh, label);
}

CharacterBackend* CharacterDevices::connect_named(const std::string& option, const std::string& id) {
  const auto found = named_.find(id);
  if (found == named_.end()) throw OptionError(option, fmt::format("there is no -chardev with id={}", id));
  Named& named = found->second;
  if (!named.connected) return open(option, named, id);
  if (named.mux == nullptr) {
    throw OptionError(option, fmt::format("-chardev {} is in use; mux=on lets several share it", id));
  }
  return &named.mux->add_port();
}

CharacterBackend* CharacterDevices::open(const std::string& option, Named& named, const std::string& label) {
  if (std::holds_alternative<CharacterSpec::Stdio>(named.spec.target)) {
    if (stdio_used_)
      throw OptionError(option, "stdio is in use already; -chardev stdio,id=ID,mux=on lets several share it");
    stdio_used_ = true;
  }
  std::unique_ptr<CharacterBackend> backend;
  try {
    backend = devices::make_character_backend(named.spec, loop_, label);
  } catch (const std::runtime_error& refusal) {
    throw OptionError(option, refusal.what());
  }
  named.connected = true;
  named.label = label;
  if (named.spec.mux || named.spec.with_monitor) {
    named.mux = std::make_unique<devices::CharacterMux>(std::move(backend), quit_);
    return &named.mux->add_port();
  }
  named.backend = std::move(backend);
  return named.backend.get();
}

std::vector<CharacterBackend*> CharacterDevices::add_monitor_ports() {
  std::vector<CharacterBackend*> ports;
  for (const auto& device : anonymous_) {
    if (device->mux != nullptr && device->spec.with_monitor) ports.push_back(&device->mux->add_port());
  }
  return ports;
}

std::vector<CharacterDevices::Entry> CharacterDevices::list() const {
  std::vector<Entry> entries;
  const auto add = [&entries](const Named& device) {
    if (!device.connected) return;
    const CharacterBackend& backend = device.mux != nullptr ? device.mux->backend() : *device.backend;
    entries.push_back({device.label, backend.description()});
  };
  for (const auto& [id, device] : named_) add(device);
  for (const auto& device : anonymous_) add(*device);
  return entries;
}

}  // namespace calco::machine
