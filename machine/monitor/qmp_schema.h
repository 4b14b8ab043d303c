// What query-qmp-schema answers: QMP introspection (QEMU's qapi/introspect.json, SchemaInfo).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "machine/monitor/qmp_types.h"

namespace calco::machine {

// Gathers commands, events and every type they lead to.
class QmpSchema {
 public:
  QmpSchema();

  void add_command(std::string_view name, const QmpType& arguments, const QmpType& result, bool allows_out_of_band);
  void add_event(std::string_view name, const QmpType& data);
  Json take() { return std::move(entities_); }

 private:
  // Describes the type where that has not been done.
  const std::string& name_of(const QmpType& type);
  std::string new_name(const QmpType& type);
  Json describe(const QmpType& type);
  Json describe_object(const QmpType& type);
  void add(std::string_view name, std::string_view meta_type, const Json& rest);

  Json entities_ = Json::array();
  std::map<const QmpType*, std::string> names_;
  unsigned numbered_ = 0;
};

}  // namespace calco::machine
