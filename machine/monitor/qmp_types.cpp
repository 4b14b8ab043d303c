#include "machine/monitor/qmp_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "machine/monitor/qmp_error.h"

namespace calco::machine {

// --- Declarations ----------------------------------------------------------------------------------------------------

namespace qmp {
namespace {

using Kind = QmpType::Kind;
using Names = std::span<const std::string_view>;

constexpr QmpType enumeration(Names values) { return {.kind = Kind::Enumeration, .values = values}; }
constexpr QmpType array(const QmpType& element) { return {.kind = Kind::Array, .element = &element}; }
constexpr QmpType object(std::span<const QmpMember> members) { return {.kind = Kind::Object, .members = members}; }
constexpr QmpType tagged_object(std::span<const QmpMember> members, std::string_view tag,
                                std::span<const QmpVariant> variants) {
  return {.kind = Kind::Object, .members = members, .tag = tag, .variants = variants};
}

constexpr QmpType kInteger{.kind = Kind::Integer};
constexpr QmpType kBoolean{.kind = Kind::Boolean};
constexpr QmpType kAny{.kind = Kind::Any};

}  // namespace

constexpr QmpType kNothing = object({});
constexpr QmpType kString{.kind = Kind::String};

namespace {
constexpr QmpType kStrings = array(kString);
}

// --- Arguments -------------------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view kCapabilityNames[] = {"oob"};
constexpr QmpType kCapability = enumeration(kCapabilityNames);
constexpr QmpType kCapabilities = array(kCapability);
constexpr QmpMember kCapabilitiesMembers[] = {{"enable", &kCapabilities, true}};

constexpr QmpMember kHumanCommandMembers[] = {{"command-line", &kString}, {"cpu-index", &kInteger, true}};

constexpr std::string_view kKeyNames[] = {
#define CALCO_KEY(enumerator, name, set2, set3) name,
#include "devices/input/key_codes.inc"
#undef CALCO_KEY
};
constexpr QmpType kKeyCode = enumeration(kKeyNames);
constexpr std::string_view kKeyKinds[] = {"number", "qcode"};
constexpr QmpType kKeyKind = enumeration(kKeyKinds);
constexpr QmpMember kKeyNumberMembers[] = {{"data", &kInteger}};
constexpr QmpMember kKeyCodeMembers[] = {{"data", &kKeyCode}};
constexpr QmpType kKeyNumber = object(kKeyNumberMembers);
constexpr QmpType kKeyCodeWrapper = object(kKeyCodeMembers);
constexpr QmpMember kKeyMembers[] = {{"type", &kKeyKind}};
constexpr QmpVariant kKeyVariants[] = {{"number", &kKeyNumber}, {"qcode", &kKeyCodeWrapper}};
constexpr QmpType kKeyValue = tagged_object(kKeyMembers, "type", kKeyVariants);
constexpr QmpType kKeyValues = array(kKeyValue);
constexpr QmpMember kSendKeyMembers[] = {{"keys", &kKeyValues}, {"hold-time", &kInteger, true}};

constexpr std::string_view kDumpFormats[] = {"elf", "kdump-zlib", "kdump-lzo", "kdump-snappy", "win-dmp"};
constexpr QmpType kDumpFormat = enumeration(kDumpFormats);
constexpr QmpType kDumpFormatList = array(kDumpFormat);
constexpr QmpMember kDumpMembers[] = {{"paging", &kBoolean},       {"protocol", &kString},
                                      {"detach", &kBoolean, true}, {"begin", &kInteger, true},
                                      {"length", &kInteger, true}, {"format", &kDumpFormat, true}};

constexpr std::string_view kEngines[] = {"interp", "jit", "kvm"};
constexpr QmpType kEngine = enumeration(kEngines);
constexpr QmpMember kEngineMembers[] = {{"engine", &kEngine}};

}  // namespace

constexpr QmpType kCapabilitiesArguments = object(kCapabilitiesMembers);
constexpr QmpType kHumanCommandArguments = object(kHumanCommandMembers);
constexpr QmpType kSendKeyArguments = object(kSendKeyMembers);
constexpr QmpType kDumpArguments = object(kDumpMembers);
constexpr QmpType kEngineArguments = object(kEngineMembers);

// --- Results ---------------------------------------------------------------------------------------------------------

namespace {

constexpr QmpMember kVersionTripleMembers[] = {{"major", &kInteger}, {"minor", &kInteger}, {"micro", &kInteger}};
constexpr QmpType kVersionTriple = object(kVersionTripleMembers);
constexpr QmpMember kVersionInfoMembers[] = {{"qemu", &kVersionTriple}, {"package", &kString}};

constexpr std::string_view kRunStates[] = {"prelaunch", "running", "paused", "shutdown", "save-vm"};
constexpr QmpType kRunState = enumeration(kRunStates);
constexpr QmpMember kStatusInfoMembers[] = {{"running", &kBoolean}, {"singlestep", &kBoolean}, {"status", &kRunState}};

constexpr QmpMember kNameInfoMembers[] = {{"name", &kString, true}};

constexpr QmpMember kInstanceMembers[] = {
    {"socket-id", &kInteger, true}, {"core-id", &kInteger, true}, {"thread-id", &kInteger, true}};
constexpr QmpType kInstance = object(kInstanceMembers);
constexpr std::string_view kTargets[] = {"x86_64"};
constexpr QmpType kTarget = enumeration(kTargets);
constexpr QmpMember kProcessorMembers[] = {{"cpu-index", &kInteger},
                                           {"qom-path", &kString},
                                           {"thread-id", &kInteger},
                                           {"props", &kInstance, true},
                                           {"target", &kTarget}};
constexpr QmpVariant kProcessorVariants[] = {{"x86_64", &kNothing}};
constexpr QmpType kProcessor = tagged_object(kProcessorMembers, "target", kProcessorVariants);

constexpr QmpMember kCharacterDeviceMembers[] = {
    {"label", &kString}, {"filename", &kString}, {"frontend-open", &kBoolean}};
constexpr QmpType kCharacterDevice = object(kCharacterDeviceMembers);

constexpr QmpMember kCommandInfoMembers[] = {{"name", &kString}};
constexpr QmpType kCommandInfo = object(kCommandInfoMembers);

constexpr std::string_view kDumpStatuses[] = {"none", "active", "completed", "failed"};
constexpr QmpType kDumpStatus = enumeration(kDumpStatuses);
constexpr QmpMember kDumpResultMembers[] = {{"status", &kDumpStatus}, {"completed", &kInteger}, {"total", &kInteger}};
constexpr QmpMember kDumpCapabilityMembers[] = {{"formats", &kDumpFormatList}};

constexpr QmpMember kHumanReadableTextMembers[] = {{"human-readable-text", &kString}};

}  // namespace

constexpr QmpType kVersionInfo = object(kVersionInfoMembers);
constexpr QmpType kStatusInfo = object(kStatusInfoMembers);
constexpr QmpType kNameInfo = object(kNameInfoMembers);
constexpr QmpType kProcessors = array(kProcessor);
constexpr QmpType kCharacterDevices = array(kCharacterDevice);
constexpr QmpType kCommands = array(kCommandInfo);
constexpr QmpType kDumpResult = object(kDumpResultMembers);
constexpr QmpType kDumpCapability = object(kDumpCapabilityMembers);
constexpr QmpType kHumanReadableText = object(kHumanReadableTextMembers);

// --- The schema itself (QEMU's qapi/introspect.json) -----------------------------------------------------------------

namespace {

constexpr std::string_view kMetaTypes[] = {"builtin", "enum", "array", "object", "alternate", "command", "event"};
constexpr QmpType kMetaType = enumeration(kMetaTypes);
constexpr QmpMember kEntityMembers[] = {{"name", &kString}, {"meta-type", &kMetaType}, {"features", &kStrings, true}};

constexpr std::string_view kJsonTypes[] = {"string", "number", "int", "boolean", "null", "object", "array", "value"};
constexpr QmpType kJsonType = enumeration(kJsonTypes);
constexpr QmpMember kBuiltinMembers[] = {{"json-type", &kJsonType}};
constexpr QmpType kBuiltin = object(kBuiltinMembers);

constexpr QmpMember kEnumerationMemberMembers[] = {{"name", &kString}, {"features", &kStrings, true}};
constexpr QmpType kEnumerationMember = object(kEnumerationMemberMembers);
constexpr QmpType kEnumerationMembers = array(kEnumerationMember);
constexpr QmpMember kEnumerationTypeMembers[] = {{"members", &kEnumerationMembers}, {"values", &kStrings}};
constexpr QmpType kEnumerationType = object(kEnumerationTypeMembers);

constexpr QmpMember kArrayTypeMembers[] = {{"element-type", &kString}};
constexpr QmpType kArrayType = object(kArrayTypeMembers);

constexpr QmpMember kObjectMemberMembers[] = {
    {"name", &kString}, {"type", &kString}, {"default", &kAny, true}, {"features", &kStrings, true}};
constexpr QmpType kObjectMember = object(kObjectMemberMembers);
constexpr QmpType kObjectMembers = array(kObjectMember);
constexpr QmpMember kObjectVariantMembers[] = {{"case", &kString}, {"type", &kString}};
constexpr QmpType kObjectVariant = object(kObjectVariantMembers);
constexpr QmpType kObjectVariants = array(kObjectVariant);
constexpr QmpMember kObjectTypeMembers[] = {
    {"members", &kObjectMembers}, {"tag", &kString, true}, {"variants", &kObjectVariants, true}};
constexpr QmpType kObjectType = object(kObjectTypeMembers);

constexpr QmpMember kAlternateMemberMembers[] = {{"type", &kString}};
constexpr QmpType kAlternateMember = object(kAlternateMemberMembers);
constexpr QmpType kAlternateMembers = array(kAlternateMember);
constexpr QmpMember kAlternateTypeMembers[] = {{"members", &kAlternateMembers}};
constexpr QmpType kAlternateType = object(kAlternateTypeMembers);

constexpr QmpMember kCommandTypeMembers[] = {
    {"arg-type", &kString}, {"ret-type", &kString}, {"allow-oob", &kBoolean, true}};
constexpr QmpType kCommandType = object(kCommandTypeMembers);

constexpr QmpMember kEventTypeMembers[] = {{"arg-type", &kString}};
constexpr QmpType kEventType = object(kEventTypeMembers);

constexpr QmpVariant kEntityVariants[] = {
    {"builtin", &kBuiltin},         {"enum", &kEnumerationType}, {"array", &kArrayType}, {"object", &kObjectType},
    {"alternate", &kAlternateType}, {"command", &kCommandType},  {"event", &kEventType}};
constexpr QmpType kEntity = tagged_object(kEntityMembers, "meta-type", kEntityVariants);

}  // namespace

constexpr QmpType kSchema = array(kEntity);

// --- Data of events --------------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view kCauses[] = {"host-qmp-quit", "host-qmp-system-reset", "host-signal", "guest-shutdown",
                                        "guest-reset"};
constexpr QmpType kCause = enumeration(kCauses);
constexpr QmpMember kCauseMembers[] = {{"guest", &kBoolean}, {"reason", &kCause}};

constexpr QmpMember kDumpCompletedMembers[] = {{"result", &kDumpResult}, {"error", &kString, true}};

}  // namespace

constexpr QmpType kCauseData = object(kCauseMembers);
constexpr QmpType kDumpCompletedData = object(kDumpCompletedMembers);

}  // namespace qmp

// --- The check -------------------------------------------------------------------------------------------------------

namespace {

void expect(bool fits, const std::string& name, std::string_view expected) {
  if (!fits) throw QmpError(fmt::format("Invalid parameter type for '{}', expected: {}", name, expected));
}

// QMP's integers have 64 bits with a sign.
bool is_integer(const Json& value) {
  constexpr uint64_t kLargest = std::numeric_limits<int64_t>::max();
  return value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= kLargest);
}

void check_enumeration(const QmpType& type, const Json& value, const std::string& name) {
  expect(value.is_string(), name, "string");
  const auto& text = value.get_ref<const std::string&>();
  if (std::ranges::find(type.values, text) == type.values.end()) {
    throw QmpError(fmt::format("Parameter '{}' does not accept value '{}'", name, text));
  }
}

void check_array(const QmpType& type, const Json& value, const std::string& name) {
  expect(value.is_array(), name, "array");
  for (size_t index = 0; index < value.size(); ++index) {
    check_value(*type.element, value[index], fmt::format("{}[{}]", name, index));
  }
}

std::string member_name(const std::string& object, std::string_view member) {
  return object.empty() ? std::string(member) : fmt::format("{}.{}", object, member);
}

void check_members(std::span<const QmpMember> members, const Json& value, const std::string& name) {
  for (const QmpMember& member : members) {
    const auto found = value.find(member.name);
    const std::string full_name = member_name(name, member.name);
    if (found != value.end()) {
      check_value(*member.type, *found, full_name);
    } else if (!member.optional) {
      throw QmpError(fmt::format("Parameter '{}' is missing", full_name));
    }
  }
}

bool has_member(std::span<const QmpMember> members, std::string_view name) {
  return std::ranges::find(members, name, &QmpMember::name) != members.end();
}

void check_object(const QmpType& type, const Json& value, const std::string& name) {
  expect(value.is_object(), name, "object");
  check_members(type.members, value, name);
  std::span<const QmpMember> further;
  if (!type.variants.empty()) {
    const auto& tag = value.at(type.tag).get_ref<const std::string&>();
    further = std::ranges::find(type.variants, tag, &QmpVariant::tag_value)->type->members;
    check_members(further, value, name);
  }
  for (const auto& [key, member] : value.items()) {
    if (!has_member(type.members, key) && !has_member(further, key)) {
      throw QmpError(fmt::format("Parameter '{}' is unexpected", member_name(name, key)));
    }
  }
}

}  // namespace

void check_value(const QmpType& type, const Json& value, const std::string& name) {
  switch (type.kind) {
    case QmpType::Kind::String:
      return expect(value.is_string(), name, "string");
    case QmpType::Kind::Integer:
      return expect(is_integer(value), name, "integer");
    case QmpType::Kind::Boolean:
      return expect(value.is_boolean(), name, "boolean");
    case QmpType::Kind::Any:
      return;
    case QmpType::Kind::Enumeration:
      return check_enumeration(type, value, name);
    case QmpType::Kind::Array:
      return check_array(type, value, name);
    case QmpType::Kind::Object:
      return check_object(type, value, name);
  }
}

}  // namespace calco::machine
