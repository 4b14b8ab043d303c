// A machine with QMP on a Unix socket, and a client of it.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/machine/monitored_machine.h"

namespace calco::machine {

class QmpTest : public ::testing::Test {
 protected:
  using Json = nlohmann::json;

  void start(std::initializer_list<uint8_t> code = {0xEB, 0xFE}, std::vector<std::string> options = {}) {
    options.insert(options.end(), {"-qmp", "unix:" + path_ + ",server=on,wait=off"});
    machine_ = std::make_unique<MonitoredMachine>(code, options);
    connect();
  }
  void connect() {
    client_ = std::make_unique<SocketClient>(path_);
    greeting_ = receive();
  }
  void negotiate() { EXPECT_EQ(execute("qmp_capabilities")["return"], Json::object()); }
  void negotiate_out_of_band() {
    EXPECT_EQ(execute("qmp_capabilities", {{"enable", {"oob"}}})["return"], Json::object());
  }
  void start_negotiated(std::vector<std::string> options = {}) {
    start({0xEB, 0xFE}, std::move(options));
    negotiate();
  }
  Json receive() { return Json::parse(client_->receive_until("\r\n"), nullptr, false); }
  Json ask(const std::string& text) {
    client_->send(text + "\n");
    return receive();
  }
  // The next that is no event.
  Json receive_answer() {
    Json message = receive();
    while (message.contains("event")) message = receive();
    return message;
  }
  Json execute(const std::string& name, const Json& arguments = Json::object()) {
    return ask(Json{{"execute", name}, {"arguments", arguments}}.dump());
  }
  // Without waiting for an answer.
  void send(const Json& request) { client_->send(request.dump() + "\n"); }
  std::string error_class(const Json& answer) { return answer["error"]["class"]; }

  const std::string path_ = MonitoredMachine::path("qmp");
  std::unique_ptr<MonitoredMachine> machine_;
  std::unique_ptr<SocketClient> client_;
  Json greeting_;
};

}  // namespace calco::machine
