#include "machine/monitor/qmp_schema.h"

#include "devices/input/key_codes.h"

namespace calco::machine {
namespace {

// Types with names of their own. Clients must not rely on names, so all others are numbers.
constexpr std::string_view kEmptyObject = "0";
constexpr std::string_view kKeys = "[KeyValue]";

std::string_view type_name(QmpCommands::Type type) {
  switch (type) {
    case QmpCommands::Type::String:
      return "str";
    case QmpCommands::Type::Integer:
      return "int";
    case QmpCommands::Type::Boolean:
      return "bool";
    case QmpCommands::Type::Keys:
      return kKeys;
  }
  return "any";
}

Json member(std::string_view name, std::string_view type) { return {{"name", name}, {"type", type}}; }

}  // namespace

QmpSchema::QmpSchema() {
  add_builtin("str", "string");
  add_builtin("int", "int");
  add_builtin("bool", "boolean");
  add_builtin("any", "value");
  entities_.push_back({{"name", kEmptyObject}, {"meta-type", "object"}, {"members", Json::array()}});
  add_key_types();
}

void QmpSchema::add_builtin(std::string_view name, std::string_view json_type) {
  entities_.push_back({{"name", name}, {"meta-type", "builtin"}, {"json-type", json_type}});
}

void QmpSchema::add_array(std::string_view name, std::string_view element) {
  entities_.push_back({{"name", name}, {"meta-type", "array"}, {"element-type", element}});
}

std::string QmpSchema::add_object(Json members) {
  std::string name = std::to_string(++last_object_);
  entities_.push_back({{"name", name}, {"meta-type", "object"}, {"members", std::move(members)}});
  return name;
}

// {"type": "qcode", "data": "ret"} or {"type": "number", "data": 28}.
void QmpSchema::add_key_types() {
  Json keys = Json::array();
  for (unsigned key = 0; key < static_cast<unsigned>(devices::KeyCode::Count); ++key) {
    keys.push_back(devices::key_name(static_cast<devices::KeyCode>(key)));
  }
  entities_.push_back({{"name", "QKeyCode"}, {"meta-type", "enum"}, {"values", std::move(keys)}});
  entities_.push_back({{"name", "KeyValueKind"}, {"meta-type", "enum"}, {"values", {"number", "qcode"}}});
  const std::string number = add_object(Json::array({member("data", "int")}));
  const std::string code = add_object(Json::array({member("data", "QKeyCode")}));
  Json variants = Json::array();
  variants.push_back({{"case", "number"}, {"type", number}});
  variants.push_back({{"case", "qcode"}, {"type", code}});
  entities_.push_back({{"name", "KeyValue"},
                       {"meta-type", "object"},
                       {"members", Json::array({member("type", "KeyValueKind")})},
                       {"tag", "type"},
                       {"variants", std::move(variants)}});
  add_array(kKeys, "KeyValue");
}

void QmpSchema::add_command(std::string_view name, std::span<const QmpCommands::Parameter> parameters,
                            bool returns_value, bool allows_out_of_band) {
  Json members = Json::array();
  for (const QmpCommands::Parameter& parameter : parameters) {
    Json entry = member(parameter.name, type_name(parameter.type));
    if (parameter.optional) entry["default"] = nullptr;
    members.push_back(std::move(entry));
  }
  const std::string arguments = members.empty() ? std::string(kEmptyObject) : add_object(std::move(members));
  entities_.push_back({{"name", name},
                       {"meta-type", "command"},
                       {"allow-oob", allows_out_of_band},
                       {"arg-type", arguments},
                       {"ret-type", returns_value ? "any" : kEmptyObject}});
}

void QmpSchema::add_event(std::string_view name, bool tells_cause) {
  const std::string data = tells_cause ? add_object(Json::array({member("guest", "bool"), member("reason", "str")}))
                                       : std::string(kEmptyObject);
  entities_.push_back({{"name", name}, {"meta-type", "event"}, {"arg-type", data}});
}

}  // namespace calco::machine
