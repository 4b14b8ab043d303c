#include "machine/monitor/qmp_schema.h"

#include <fmt/format.h>

namespace calco::machine {
namespace {

using Kind = QmpType::Kind;

std::string_view meta_type(Kind kind) {
  switch (kind) {
    case Kind::String:
    case Kind::Integer:
    case Kind::Boolean:
    case Kind::Any:
      return "builtin";
    case Kind::Enumeration:
      return "enum";
    case Kind::Array:
      return "array";
    case Kind::Object:
      return "object";
  }
  return "";
}

// Values once as they have been since 2.5, once with room for features (QEMU 6.2).
Json describe_enumeration(const QmpType& type) {
  Json members = Json::array();
  Json values = Json::array();
  for (const std::string_view value : type.values) {
    members.push_back({{"name", value}});
    values.push_back(value);
  }
  return {{"members", std::move(members)}, {"values", std::move(values)}};
}

}  // namespace

// QEMU's number 0 is the object without members, too.
QmpSchema::QmpSchema() { (void)name_of(qmp::kNothing); }

void QmpSchema::add_command(std::string_view name, const QmpType& arguments, const QmpType& result,
                            bool allows_out_of_band) {
  Json rest = {{"arg-type", name_of(arguments)}, {"ret-type", name_of(result)}};
  if (allows_out_of_band) rest["allow-oob"] = true;
  add(name, "command", rest);
}

void QmpSchema::add_event(std::string_view name, const QmpType& data) {
  add(name, "event", {{"arg-type", name_of(data)}});
}

const std::string& QmpSchema::name_of(const QmpType& type) {
  const auto found = names_.find(&type);
  if (found != names_.end()) return found->second;
  const std::string& name = names_[&type] = new_name(type);
  add(name, meta_type(type.kind), describe(type));
  return name;
}

// Clients must not rely on names of types; only the built-in ones are words.
std::string QmpSchema::new_name(const QmpType& type) {
  switch (type.kind) {
    case Kind::String:
      return "str";
    case Kind::Integer:
      return "int";
    case Kind::Boolean:
      return "bool";
    case Kind::Any:
      return "any";
    case Kind::Array:
      return fmt::format("[{}]", name_of(*type.element));
    case Kind::Enumeration:
    case Kind::Object:
      break;
  }
  return fmt::to_string(numbered_++);
}

Json QmpSchema::describe(const QmpType& type) {
  switch (type.kind) {
    case Kind::String:
      return {{"json-type", "string"}};
    case Kind::Integer:
      return {{"json-type", "int"}};
    case Kind::Boolean:
      return {{"json-type", "boolean"}};
    case Kind::Any:
      return {{"json-type", "value"}};
    case Kind::Enumeration:
      return describe_enumeration(type);
    case Kind::Array:
      return {{"element-type", name_of(*type.element)}};
    case Kind::Object:
      return describe_object(type);
  }
  return {};
}

Json QmpSchema::describe_object(const QmpType& type) {
  Json members = Json::array();
  for (const QmpMember& member : type.members) {
    Json entry = {{"name", member.name}, {"type", name_of(*member.type)}};
    if (member.optional) entry["default"] = nullptr;
    members.push_back(std::move(entry));
  }
  Json rest = {{"members", std::move(members)}};
  if (type.variants.empty()) return rest;
  Json variants = Json::array();
  for (const QmpVariant& variant : type.variants) {
    variants.push_back({{"case", variant.tag_value}, {"type", name_of(*variant.type)}});
  }
  rest["tag"] = type.tag;
  rest["variants"] = std::move(variants);
  return rest;
}

void QmpSchema::add(std::string_view name, std::string_view meta_type, const Json& rest) {
  Json entity = {{"name", name}, {"meta-type", meta_type}};
  entity.update(rest);
  entities_.push_back(std::move(entity));
}

}  // namespace calco::machine
