// What is said to a user whose command cannot be done.
#pragma once

#include <stdexcept>

namespace calco::machine {

// One line without a full stop. The guest goes on.
class MonitorError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace calco::machine
