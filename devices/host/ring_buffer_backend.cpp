#include "devices/host/ring_buffer_backend.h"

#include <utility>

namespace calco::devices {

size_t RingBufferBackend::write(std::span<const uint8_t> bytes) {
  output_.append(bytes.begin(), bytes.end());
  // Trimmed in large steps, so that a steady stream costs no move a byte.
  if (output_.size() > 2 * capacity_) output_.erase(0, output_.size() - capacity_);
  return bytes.size();
}

std::string RingBufferBackend::take_output() {
  if (output_.size() > capacity_) output_.erase(0, output_.size() - capacity_);
  return std::exchange(output_, {});
}

void RingBufferBackend::type(std::string_view text) {
  input_.insert(input_.end(), text.begin(), text.end());
  accept_input();
}

void RingBufferBackend::accept_input() {
  while (!input_.empty() && front_end_ != nullptr && front_end_->can_receive() != 0) {
    const uint8_t byte = input_.front();
    input_.pop_front();
    front_end_->receive({&byte, 1});
  }
}

}  // namespace calco::devices
