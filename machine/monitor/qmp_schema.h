// What query-qmp-schema answers: QMP introspection (QEMU's docs/interop/qmp-intro, SchemaInfo).
#pragma once

#include "machine/monitor/qmp_commands.h"

namespace calco::machine {

// Gathers the entities of the schema.
class QmpSchema {
 public:
  QmpSchema();

  void add_command(std::string_view name, std::span<const QmpCommands::Parameter> parameters, bool returns_value,
                   bool allows_out_of_band);
  // `tells_cause`: its data says whether the guest did it, and why.
  void add_event(std::string_view name, bool tells_cause);
  Json take() { return std::move(entities_); }

 private:
  void add_builtin(std::string_view name, std::string_view json_type);
  void add_array(std::string_view name, std::string_view element);
  void add_key_types();
  std::string add_object(Json members);

  Json entities_ = Json::array();
  unsigned last_object_ = 0;
};

}  // namespace calco::machine
