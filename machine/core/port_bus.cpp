#include "machine/core/port_bus.h"

#include "machine/core/log.h"

namespace calco {

void PortBus::attach(uint16_t base, uint32_t length, RegisterWindow& window) {
  attachments_.push_back({base, length, &window});
}

void PortBus::detach(const RegisterWindow& window) {
  std::erase_if(attachments_, [&](const Attachment& attachment) { return attachment.window == &window; });
}

const PortBus::Attachment* PortBus::find(uint16_t port) const {
  for (auto attachment = attachments_.rbegin(); attachment != attachments_.rend(); ++attachment) {
    if (port >= attachment->base && port - attachment->base < static_cast<int64_t>(attachment->length)) {
      return &*attachment;
    }
  }
  return nullptr;
}

// True where one window takes the whole access.
bool PortBus::fits(uint16_t port, unsigned size) const {
  const Attachment* attachment = find(port);
  return attachment == nullptr ? size == 1
                               : size <= attachment->window->maximum_access_size() &&
                                     port - attachment->base + size <= attachment->length;
}

uint32_t PortBus::read_part(uint16_t port, unsigned size) {
  if (size > 1 && !fits(port, size)) {
    const unsigned half = size / 2;
    const uint32_t low = read_part(port, half);
    return low | read_part(static_cast<uint16_t>(port + half), half) << (half * 8);
  }
  const Attachment* attachment = find(port);
  if (attachment == nullptr) {
    log_.print(LogItem::GuestErrors, "read of I/O port {:#06x}, where no device is", port);
    return static_cast<uint32_t>(floating_bus(size));
  }
  return static_cast<uint32_t>(attachment->window->read(port - attachment->base, size) & floating_bus(size));
}

void PortBus::write_part(uint16_t port, unsigned size, uint32_t value) {
  if (size > 1 && !fits(port, size)) {
    const unsigned half = size / 2;
    write_part(port, half, value & static_cast<uint32_t>(floating_bus(half)));
    write_part(static_cast<uint16_t>(port + half), half, value >> (half * 8));
    return;
  }
  const Attachment* attachment = find(port);
  if (attachment == nullptr) {
    log_.print(LogItem::GuestErrors, "write of {:#x} to I/O port {:#06x}, where no device is", value, port);
    return;
  }
  attachment->window->write(port - attachment->base, size, value);
}

uint32_t PortBus::read(uint16_t port, unsigned size) {
  std::lock_guard lock(device_lock_);
  return read_part(port, size);
}

void PortBus::write(uint16_t port, unsigned size, uint32_t value) {
  std::lock_guard lock(device_lock_);
  write_part(port, size, value);
}

}  // namespace calco
