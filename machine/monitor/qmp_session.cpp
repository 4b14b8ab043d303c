#include "machine/monitor/qmp_session.h"

#include <fmt/format.h>

#include <utility>

#include "machine/monitor/monitor_error.h"
#include "machine/monitor/qmp_error.h"

namespace calco::machine {
namespace {

constexpr const char* kNegotiation = "qmp_capabilities";

Json error_answer(const char* class_name, const std::string& description) {
  return {{"error", {{"class", class_name}, {"desc", description}}}};
}

void copy_id(const Json& request, Json& answer) {
  if (request.is_object() && request.contains("id")) answer["id"] = request["id"];
}

// A request's parts, checked.
struct Request {
  std::string command;
  Json arguments = Json::object();
};

Request parse_request(const Json& request, bool out_of_band) {
  if (!request.is_object()) throw QmpError("QMP input must be a JSON object");
  Request result;
  for (const auto& [key, value] : request.items()) {
    const bool names_command = key == "execute" || (key == "exec-oob" && out_of_band);
    if (names_command && !value.is_string()) throw QmpError(fmt::format("QMP input member '{}' must be a string", key));
    if (names_command && !result.command.empty()) throw QmpError("QMP input has two commands");
    if (names_command) {
      result.command = value.get<std::string>();
    } else if (key == "arguments") {
      if (!value.is_object()) throw QmpError("QMP input member 'arguments' must be an object");
      result.arguments = value;
    } else if (key != "id") {
      throw QmpError(fmt::format("QMP input member '{}' is unexpected", key));
    }
  }
  if (result.command.empty()) throw QmpError("QMP input lacks member 'execute'");
  return result;
}

// Calls `answer`; what it throws becomes the error that the client gets.
template <typename Function>
Json answer_or_error(const Json& request, const Function& answer) {
  Json result;
  try {
    result = {{"return", answer()}};
  } catch (const QmpError& error) {
    result = error_answer(error.class_name(), error.what());
  } catch (const MonitorError& error) {
    result = error_answer("GenericError", error.what());
  }
  copy_id(request, result);
  return result;
}

}  // namespace

QmpSession::QmpSession(GuestControl& guest, devices::CharacterBackend& backend, bool pretty)
    : MonitorChannel(guest.machine(), backend), commands_(guest), pretty_(pretty) {
  connect();
}

void QmpSession::opened() {
  framer_.clear();
  negotiated_ = false;
  out_of_band_ = false;
  send_message({{"QMP", {{"version", qmp_version()}, {"capabilities", {"oob"}}}}});
}

void QmpSession::take(uint8_t byte) {
  const JsonFramer::Result result = framer_.take(byte);
  if (const auto* message = std::get_if<JsonFramer::Message>(&result)) {
    receive_message(message->text);
  } else if (const auto* mistake = std::get_if<JsonFramer::Malformed>(&result)) {
    send_message(error_answer("GenericError", "JSON parse error, " + mistake->reason));
  }
}

void QmpSession::receive_message(const std::string& text) {
  const Json request = Json::parse(text, nullptr, false);
  if (request.is_discarded()) return send_message(error_answer("GenericError", "JSON parse error, invalid syntax"));
  if (negotiated_) return begin(request);
  negotiate(request);
}

void QmpSession::negotiate(const Json& request) {
  send_message(answer_or_error(request, [&] {
    const Request parsed = parse_request(request, false);
    if (parsed.command != kNegotiation) {
      throw QmpError(QmpError::Class::CommandNotFound,
                     fmt::format("Expecting capabilities negotiation with '{}'", kNegotiation));
    }
    bool out_of_band = false;
    for (const auto& [key, value] : parsed.arguments.items()) {
      if (key != "enable" || !value.is_array()) throw QmpError(fmt::format("Parameter '{}' is unexpected", key));
      for (const Json& capability : value) {
        if (capability != "oob") throw QmpError(fmt::format("Capability {} is not available", capability.dump()));
        out_of_band = true;
      }
    }
    negotiated_ = true;
    out_of_band_ = out_of_band;
    return Json::object();
  }));
}

void QmpSession::begin(const Json& request) {
  run_command<Json>(
      [this, request, out_of_band = out_of_band_] {
        return answer_or_error(request, [&] {
          const Request parsed = parse_request(request, out_of_band);
          return commands_.execute(parsed.command, parsed.arguments);
        });
      },
      [this](const Json& answer) { send_message(answer); });
}

void QmpSession::send_event(const Json& event) {
  if (negotiated_ && output_has_room()) send_message(event);
}

// What a client sent as text may be no UTF-8: errors repeat it.
void QmpSession::send_message(const Json& message) {
  send(message.dump(pretty_ ? 4 : -1, ' ', false, Json::error_handler_t::replace) + "\r\n");
}

}  // namespace calco::machine
