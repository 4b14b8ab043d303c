// The types of QMP's values: what commands take and give, and what events tell. The check of arguments and
// introspection come from the same declarations.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

namespace calco::machine {

using Json = nlohmann::ordered_json;

struct QmpType;

struct QmpMember {
  std::string_view name;
  const QmpType* type;
  bool optional = false;
};

// The further members of an object whose tag has a value.
struct QmpVariant {
  std::string_view tag_value;
  const QmpType* type;
};

struct QmpType {
  enum class Kind : uint8_t { String, Integer, Boolean, Any, Enumeration, Array, Object };

  Kind kind;
  std::span<const std::string_view> values = {};  // of an enumeration
  const QmpType* element = nullptr;               // of an array
  std::span<const QmpMember> members = {};        // of an object
  std::string_view tag = {};                      // the member that selects an object's variant; may be empty
  std::span<const QmpVariant> variants = {};
};

// Whether `value` has the type. Where not, throws QmpError in QEMU's words with its `name` ("keys[0].data"); arguments
// as a whole have none.
void check_value(const QmpType& type, const Json& value, const std::string& name = {});

// Named as in QEMU's qapi/*.json. Constants.
namespace qmp {

extern const QmpType kNothing;  // an object without members
extern const QmpType kString;

// Arguments.
extern const QmpType kCapabilitiesArguments;
extern const QmpType kHumanCommandArguments;
extern const QmpType kSendKeyArguments;
extern const QmpType kDumpArguments;
extern const QmpType kEngineArguments;

// Results.
extern const QmpType kVersionInfo;
extern const QmpType kStatusInfo;
extern const QmpType kNameInfo;
extern const QmpType kProcessors;
extern const QmpType kCharacterDevices;
extern const QmpType kCommands;
extern const QmpType kDumpResult;
extern const QmpType kDumpCapability;
extern const QmpType kSchema;
extern const QmpType kHumanReadableText;

// Data of events.
extern const QmpType kCauseData;
extern const QmpType kDumpCompletedData;

}  // namespace qmp
}  // namespace calco::machine
