#include "devices/isa/coprocessor_port.h"

#include "machine/core/archive.h"

namespace calco::devices {

bool CoprocessorPort::set_error(bool pending) {
  error_ = pending;
  if (!pending) {
    ignore_ = false;
  } else if (!ignore_) {
    interrupt_ = true;
    irq13_.raise();
  }
  return ignore_;
}

void CoprocessorPort::reset() {
  error_ = interrupt_ = ignore_ = false;
  irq13_.lower();
}

void CoprocessorPort::serialize(Archive& archive) {
  archive.section(name());
  archive.field("error", error_);
  archive.field("interrupt", interrupt_);
  archive.field("ignore", ignore_);
  if (archive.loading()) irq13_.set(interrupt_);
}

uint64_t CoprocessorPort::read(uint64_t, unsigned size) { return floating_bus(size); }

// The second port reset the 80287; processors with a built-in unit ignore it.
void CoprocessorPort::write(uint64_t offset, unsigned, uint64_t) {
  if (offset != 0) return;
  interrupt_ = false;
  irq13_.lower();
  ignore_ = error_;
}

}  // namespace calco::devices
