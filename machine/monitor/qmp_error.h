// An error as a QMP client sees it.
#pragma once

#include <stdexcept>
#include <string>

namespace calco::machine {

class QmpError : public std::runtime_error {
 public:
  enum class Class : uint8_t { GenericError, CommandNotFound };

  QmpError(Class error_class, const std::string& description) : std::runtime_error(description), class_(error_class) {}
  explicit QmpError(const std::string& description) : QmpError(Class::GenericError, description) {}

  const char* class_name() const { return class_ == Class::CommandNotFound ? "CommandNotFound" : "GenericError"; }

 private:
  Class class_;
};

}  // namespace calco::machine
