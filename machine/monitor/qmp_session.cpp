#include "machine/monitor/qmp_session.h"

#include <fmt/format.h>

#include <utility>

#include "machine/monitor/monitor_error.h"
#include "machine/monitor/qmp_error.h"

namespace calco::machine {
namespace {

constexpr const char* kNegotiation = "qmp_capabilities";
constexpr const char* kOutOfBand = "exec-oob";

Json error_answer(const char* class_name, const std::string& description) {
  return {{"error", {{"class", class_name}, {"desc", description}}}};
}

void copy_id(const Json& request, Json& answer) {
  if (request.is_object() && request.contains("id")) answer["id"] = request["id"];
}

bool is_out_of_band(const Json& request) {
  return request.is_object() && request.contains(kOutOfBand) && !request.contains("execute");
}

// A request's parts, checked.
struct Request {
  std::string command;
  Json arguments = Json::object();
};

// `verb`: the member that names the command.
Request parse_request(const Json& request, std::string_view verb) {
  if (!request.is_object()) throw QmpError("QMP input must be a JSON object");
  Request result;
  for (const auto& [key, value] : request.items()) {
    if (key == verb) {
      if (!value.is_string()) throw QmpError(fmt::format("QMP input member '{}' must be a string", key));
      result.command = value.get<std::string>();
    } else if (key == "arguments") {
      if (!value.is_object()) throw QmpError("QMP input member 'arguments' must be an object");
      result.arguments = value;
    } else if (key != "id") {
      throw QmpError(fmt::format("QMP input member '{}' is unexpected", key));
    }
  }
  if (!request.contains(verb)) throw QmpError(fmt::format("QMP input lacks member '{}'", verb));
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
  waiting_.clear();
  negotiated_ = false;
  out_of_band_ = false;
  send_message({{"QMP", {{"version", qmp_version()}, {"capabilities", {"oob"}}}}});
}

void QmpSession::take(uint8_t byte) {
  const JsonFramer::Result result = framer_.take(byte);
  if (const auto* message = std::get_if<JsonFramer::Message>(&result)) {
    receive_message(message->text);
  } else if (const auto* mistake = std::get_if<JsonFramer::Malformed>(&result)) {
    refuse(mistake->reason);
  }
}

void QmpSession::receive_message(const std::string& text) {
  Json request = Json::parse(text, nullptr, false);
  if (request.is_discarded()) return refuse("invalid syntax");
  if (!negotiated_) return negotiate(request);
  if (is_out_of_band(request)) return send_message(answer_at_once(request));
  waiting_.emplace_back(std::move(request));
  begin_waiting();
}

void QmpSession::refuse(const std::string& reason) {
  const std::string description = "JSON parse error, " + reason;
  if (!negotiated_) return send_message(error_answer("GenericError", description));
  waiting_.emplace_back(Malformed{description});
  begin_waiting();
}

// Without the capability a client expects nothing to be read while its command is being done. Negotiation does not wait
// for what a former client has begun.
bool QmpSession::has_room_for_input() const {
  return out_of_band_ ? waiting_.size() < kMostWaiting : !negotiated_ || !busy();
}

void QmpSession::begin_waiting() {
  while (!busy() && !waiting_.empty()) {
    const Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    if (const auto* malformed = std::get_if<Malformed>(&next)) {
      send_message(error_answer("GenericError", malformed->reason));
    } else {
      begin(std::get<Json>(next));
    }
  }
}

void QmpSession::negotiate(const Json& request) {
  send_message(answer_or_error(request, [&] {
    const Request parsed = parse_request(request, "execute");
    if (parsed.command != kNegotiation) {
      throw QmpError(QmpError::Class::CommandNotFound,
                     fmt::format("Expecting capabilities negotiation with '{}'", kNegotiation));
    }
    check_value(qmp::kCapabilitiesArguments, parsed.arguments);
    negotiated_ = true;
    // There is only one capability.
    out_of_band_ = !parsed.arguments.value("enable", Json::array()).empty();
    return Json::object();
  }));
}

void QmpSession::begin(const Json& request) {
  run_command<Json>(
      [this, request](const Finish<Json>& finish) {
        Request parsed;
        const Json checked = answer_or_error(request, [&] {
          parsed = parse_request(request, "execute");
          return Json::object();
        });
        if (checked.contains("error")) return finish(checked);
        commands_.execute(parsed.command, parsed.arguments, [request, finish](const QmpCommands::Result& result) {
          finish(answer_or_error(request, result));
        });
      },
      [this](const Json& answer) { send_message(answer); });
}

Json QmpSession::answer_at_once(const Json& request) {
  return answer_or_error(request, [&] {
    if (!out_of_band_) throw QmpError(fmt::format("QMP input member '{}' is unexpected", kOutOfBand));
    const Request parsed = parse_request(request, kOutOfBand);
    return commands_.execute_out_of_band(parsed.command, parsed.arguments);
  });
}

void QmpSession::send_event(const Json& event) {
  if (negotiated_ && output_has_room()) send_message(event);
}

// What a client sent as text may be no UTF-8: errors repeat it.
void QmpSession::send_message(const Json& message) {
  send(message.dump(pretty_ ? 4 : -1, ' ', false, Json::error_handler_t::replace) + "\r\n");
}

}  // namespace calco::machine
