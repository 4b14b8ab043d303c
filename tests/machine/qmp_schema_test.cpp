// query-qmp-schema (QEMU's qapi/introspect.json), walked as a client does that believes it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/machine/qmp_fixture.h"

namespace calco::machine {
namespace {

using Json = nlohmann::json;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::IsSubsetOf;
using ::testing::Not;

class Schema {
 public:
  explicit Schema(const Json& entities) : entities_(entities) {
    for (const Json& entity : entities_) by_name_[entity["name"]] = entity;
  }

  size_t names() const { return by_name_.size(); }
  size_t entities() const { return entities_.size(); }
  const Json& operator[](const std::string& name) const { return by_name_.at(name); }
  std::vector<Json> all(const std::string& meta_type) const {
    std::vector<Json> found;
    for (const Json& entity : entities_) {
      if (entity["meta-type"] == meta_type) found.push_back(entity);
    }
    return found;
  }

  // The names of all types that commands and events lead to.
  std::set<std::string> reachable() const {
    std::set<std::string> types;
    for (const auto& [name, entity] : by_name_) {
      if (entity.contains("arg-type")) reach(entity["arg-type"], types);
      if (entity.contains("ret-type")) reach(entity["ret-type"], types);
    }
    return types;
  }

  // Where `value` has not the type: "" for nowhere.
  std::string mismatch(const Json& value, const std::string& type, const std::string& where = "value") const {
    const Json& entity = (*this)[type];
    const std::string wrong = where + " is no " + type + ": " + value.dump();
    const std::string meta_type = entity["meta-type"];
    if (meta_type == "builtin") return is_builtin(value, entity["json-type"]) ? "" : wrong;
    if (meta_type == "enum") return has(entity["values"], value) ? "" : wrong;
    if (meta_type == "object") return value.is_object() ? object_mismatch(value, entity, where) : wrong;
    if (!value.is_array()) return wrong;
    std::string first;
    for (size_t i = 0; i < value.size() && first.empty(); ++i) {
      first = mismatch(value[i], entity["element-type"], where + "[" + std::to_string(i) + "]");
    }
    return first;
  }

 private:
  static bool has(const Json& list, const Json& value) {
    return std::find(list.begin(), list.end(), value) != list.end();
  }

  static bool is_builtin(const Json& value, const std::string& json_type) {
    if (json_type == "string") return value.is_string();
    if (json_type == "int") return value.is_number_integer();
    if (json_type == "boolean") return value.is_boolean();
    return json_type == "value";
  }

  // Members of the object and of its variant, each as {"name", "type", ...}.
  std::vector<Json> members(const Json& entity, const Json& value) const {
    std::vector<Json> list = entity["members"];
    for (const Json& variant : entity.value("variants", Json::array())) {
      if (value.value(entity["tag"].get<std::string>(), Json()) != variant["case"]) continue;
      for (const Json& member : (*this)[variant["type"]]["members"]) list.push_back(member);
    }
    return list;
  }

  std::string object_mismatch(const Json& value, const Json& entity, const std::string& where) const {
    std::set<std::string> known;
    for (const Json& member : members(entity, value)) {
      const std::string name = member["name"];
      known.insert(name);
      if (!value.contains(name) && !member.contains("default")) return where + " lacks " + name;
      if (!value.contains(name)) continue;
      const std::string wrong = mismatch(value[name], member["type"], where + "." + name);
      if (!wrong.empty()) return wrong;
    }
    for (const auto& [key, member] : value.items()) {
      if (!known.contains(key)) return where + " has " + key;
    }
    return "";
  }

  void reach(const std::string& type, std::set<std::string>& types) const {
    if (!types.insert(type).second) return;
    const Json& entity = (*this)[type];
    if (entity.contains("element-type")) reach(entity["element-type"], types);
    for (const char* list : {"members", "variants"}) {
      for (const Json& entry : entity.value(list, Json::array())) {
        if (entry.contains("type")) reach(entry["type"], types);
      }
    }
  }

  Json entities_;
  std::map<std::string, Json> by_name_;
};

class QmpSchemaTest : public QmpTest {
 protected:
  void SetUp() override {
    start_negotiated({"-accel", "jit", "-smp", "2", "-name", "test"});
    answer_ = execute("query-qmp-schema")["return"];
    schema_ = std::make_unique<Schema>(answer_);
  }
  // Events that come with the answer are checked as well.
  std::string mismatch_of_answer(const std::string& command, const Json& arguments = Json::object()) {
    const Json& entity = (*schema_)[command];
    const std::string wrong = schema_->mismatch(arguments, entity["arg-type"], "arguments");
    if (!wrong.empty()) return wrong;
    Json answer = execute(command, arguments);
    for (; answer.contains("event"); answer = receive()) EXPECT_EQ(mismatch_of_event(answer), "");
    return schema_->mismatch(answer["return"], entity["ret-type"], command);
  }
  std::string mismatch_of_event(const Json& event) {
    return schema_->mismatch(event.value("data", Json::object()), (*schema_)[event["event"]]["arg-type"], "data");
  }

  Json answer_;
  std::unique_ptr<Schema> schema_;
};

TEST_F(QmpSchemaTest, NamesAreUnique) { EXPECT_EQ(schema_->names(), schema_->entities()); }

TEST_F(QmpSchemaTest, DescribesItself) { EXPECT_EQ(mismatch_of_answer("query-qmp-schema"), ""); }

// reachable() throws where a name leads nowhere.
TEST_F(QmpSchemaTest, EveryNameLeadsToATypeAndEveryTypeIsUsed) {
  const std::set<std::string> reachable = schema_->reachable();
  for (const char* meta_type : {"builtin", "enum", "array", "object"}) {
    for (const Json& entity : schema_->all(meta_type)) EXPECT_THAT(reachable, Contains(entity["name"])) << entity;
  }
}

TEST_F(QmpSchemaTest, HasTheCommandsThatAreListedAndTheEvents) {
  std::set<std::string> listed;
  const Json answer = execute("query-commands")["return"];
  for (const Json& command : answer) listed.insert(command["name"]);
  std::set<std::string> described;
  for (const Json& command : schema_->all("command")) described.insert(command["name"]);
  EXPECT_EQ(described, listed);
  std::set<std::string> events;
  for (const Json& event : schema_->all("event")) events.insert(event["name"]);
  EXPECT_EQ(events, (std::set<std::string>{"DUMP_COMPLETED", "POWERDOWN", "RESET", "RESUME", "SHUTDOWN", "STOP"}));
}

TEST_F(QmpSchemaTest, ArgumentsAreObjectsAndResultsAreTypes) {
  for (const Json& command : schema_->all("command")) {
    EXPECT_EQ((*schema_)[command["arg-type"]]["meta-type"], "object") << command;
    EXPECT_NE(command["ret-type"], "any") << command;
  }
}

TEST_F(QmpSchemaTest, TagsAreMembersWhoseValuesEachHaveOneVariant) {
  unsigned tagged = 0;
  for (const Json& object : schema_->all("object")) {
    if (!object.contains("tag")) continue;
    ++tagged;
    std::multiset<std::string> cases;
    for (const Json& variant : object["variants"]) cases.insert(variant["case"]);
    std::multiset<std::string> values;
    for (const Json& member : object["members"]) {
      if (member["name"] != object["tag"]) continue;
      for (const Json& value : (*schema_)[member["type"]]["values"]) values.insert(value);
    }
    EXPECT_EQ(cases, values) << object;
  }
  EXPECT_EQ(tagged, 3u);
}

TEST_F(QmpSchemaTest, EnumerationsListTheirValuesTwice) {
  for (const Json& enumeration : schema_->all("enum")) {
    Json members = Json::array();
    for (const Json& member : enumeration["members"]) members.push_back(member["name"]);
    EXPECT_EQ(members, enumeration["values"]);
  }
}

TEST_F(QmpSchemaTest, OptionalMembersHaveNullAsDefault) {
  const Json& arguments = (*schema_)[(*schema_)["send-key"]["arg-type"]];
  const Json expected = {{"name", "hold-time"}, {"type", "int"}, {"default", nullptr}};
  EXPECT_THAT(arguments["members"], Contains(expected));
}

TEST_F(QmpSchemaTest, AnswersHaveTheTypesThatItPromises) {
  for (const char* query : {"query-version", "query-status", "query-name", "query-cpus-fast", "query-chardev",
                            "query-commands", "query-dump", "query-dump-guest-memory-capability", "x-query-jit", "stop",
                            "cont", "inject-nmi", "system_powerdown"}) {
    EXPECT_EQ(mismatch_of_answer(query), "");
  }
  EXPECT_EQ(mismatch_of_answer("human-monitor-command", {{"command-line", "info status"}, {"cpu-index", 1}}), "");
  const Json keys = Json::parse(R"([{"type": "qcode", "data": "ctrl"}, {"type": "number", "data": 30}])");
  EXPECT_EQ(mismatch_of_answer("send-key", {{"keys", keys}}), "");
  EXPECT_EQ(mismatch_of_answer("x-calco-set-accel", {{"engine", "interp"}}), "");
  const std::string path = MonitoredMachine::path("schema-core");
  EXPECT_EQ(mismatch_of_answer("dump-guest-memory", {{"paging", false}, {"protocol", "file:" + path}}), "");
  unlink(path.c_str());
}

TEST_F(QmpSchemaTest, EventsHaveTheTypesThatItPromises) {
  EXPECT_EQ(mismatch_of_answer("system_reset"), "");
  EXPECT_EQ(mismatch_of_event(receive()), "");
  EXPECT_EQ(mismatch_of_answer("quit"), "");
  EXPECT_EQ(mismatch_of_event(receive()), "");
}

TEST_F(QmpSchemaTest, SaysWhichCommandsMayOvertake) {
  EXPECT_EQ((*schema_)["query-status"]["allow-oob"], true);
  EXPECT_FALSE((*schema_)["stop"].contains("allow-oob"));
}

// What the schema refuses is refused.
TEST_F(QmpSchemaTest, ArgumentsOfOtherTypesAreErrors) {
  const auto refusal = [this](const std::string& command, const char* text) -> std::string {
    const Json arguments = Json::parse(text);
    EXPECT_NE(schema_->mismatch(arguments, (*schema_)[command]["arg-type"]), "");
    return execute(command, arguments)["error"]["desc"];
  };
  EXPECT_EQ(refusal("send-key", R"({"keys": [{"type": "qcode"}]})"), "Parameter 'keys[0].data' is missing");
  EXPECT_EQ(refusal("send-key", R"({"keys": [{"type": "qcode", "data": "a"}, {"type": "sound", "data": 1}]})"),
            "Parameter 'keys[1].type' does not accept value 'sound'");
  EXPECT_EQ(refusal("send-key", R"({"keys": [{"type": "number", "data": "a"}]})"),
            "Invalid parameter type for 'keys[0].data', expected: integer");
  EXPECT_EQ(refusal("send-key", R"({"keys": [], "x": 1})"), "Parameter 'x' is unexpected");
  EXPECT_EQ(refusal("send-key", R"({"keys": {}})"), "Invalid parameter type for 'keys', expected: array");
  EXPECT_EQ(refusal("x-calco-set-accel", R"({"engine": "tcg"})"), "Parameter 'engine' does not accept value 'tcg'");
  EXPECT_EQ(refusal("human-monitor-command", "{}"), "Parameter 'command-line' is missing");
}

}  // namespace
}  // namespace calco::machine
