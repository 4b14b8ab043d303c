#include "machine/debugger/gdb_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cpu/system/register_dump.h"
#include "machine/debugger/gdb_registers.h"
#include "machine/debugger/linear_memory.h"

namespace calco::machine {
namespace {

using Hit = cpu::DebuggerStops::Hit;

constexpr std::string_view kOk = "OK";
constexpr std::string_view kMalformed = "E01";
constexpr std::string_view kBadAddress = "E14";   // EFAULT
constexpr std::string_view kNotPossible = "E22";  // EINVAL
constexpr int kInterruptSignal = 2, kTrapSignal = 5;
// More would only slow the guest: each access to memory looks at every watchpoint.
constexpr size_t kMaximumBreakpoints = 1024;

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// "address,length": both are there and nothing is behind them.
struct Area {
  uint64_t linear;
  uint64_t size;
};
std::optional<Area> take_area(std::string_view& text) {
  const auto linear = take_hex_number(text);
  if (!linear || !take(text, ",")) return std::nullopt;
  const auto size = take_hex_number(text);
  if (!size) return std::nullopt;
  return Area{*linear, *size};
}

std::span<const uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string describe_hit(const Hit& hit, bool software) {
  switch (hit.kind) {
    case Hit::Kind::Breakpoint:
      return software ? "swbreak:;" : "hwbreak:;";
    case Hit::Kind::Write:
      return fmt::format("watch:{:x};", hit.linear);
    case Hit::Kind::Read:
      return fmt::format("rwatch:{:x};", hit.linear);
    case Hit::Kind::Access:
      break;
  }
  return fmt::format("awatch:{:x};", hit.linear);
}

std::string stop_reply(int signal, unsigned processor, std::string_view reason = {}) {
  return fmt::format("T{:02x}thread:{:x};{}", signal, processor + 1, reason);
}

}  // namespace

GdbServer::GdbServer(devices::CharacterBackend& backend, DebuggerServices services)
    : backend_(backend), services_(std::move(services)), stop_reply_(stop_reply(kTrapSignal, 0)) {
  backend_.set_front_end(this);
}

GdbServer::~GdbServer() { backend_.set_front_end(nullptr); }

// --- The line --------------------------------------------------------------------------------------------------------

// Who asks without reading the answers is not listened to.
size_t GdbServer::can_receive() {
  const bool deaf = state_ == State::Stopping || outgoing_.size() > GdbPacketReader::kMaximumSize;
  return deaf ? 0 : GdbPacketReader::kMaximumSize;
}

// Bytes behind one that makes the machine stop or run are those of a client that does not wait for answers.
void GdbServer::receive(std::span<const uint8_t> bytes) {
  for (const uint8_t byte : bytes) {
    switch (reader_.take(byte)) {
      case GdbPacketReader::Event::Packet: {
        if (acknowledge_) outgoing_ += '+';
        const auto answer = state_ == State::Stopped ? execute(reader_.packet()) : std::string(kMalformed);
        if (answer) send(*answer);
        break;
      }
      case GdbPacketReader::Event::Broken:
        if (acknowledge_) outgoing_ += '-';
        break;
      case GdbPacketReader::Event::Interrupt:
        interrupted_ = state_ == State::Running;
        if (interrupted_) stop();
        break;
      case GdbPacketReader::Event::Refused:
        if (outgoing_.empty()) outgoing_ = last_sent_;
        break;
      case GdbPacketReader::Event::Accepted:
      case GdbPacketReader::Event::None:
        break;
    }
  }
  write_out();
}

void GdbServer::backend_event(devices::CharacterEvent event) {
  if (event == devices::CharacterEvent::Opened) {
    reader_.reset();
    outgoing_.clear();
    acknowledge_ = true;
    report_stop_ = interrupted_ = false;
    goes_on_alone_ = goes_on_alone_ && state_ == State::Leaving;
    selected_ = 0;
    breakpoints_.clear();
    watchpoints_.clear();
    stop_reply_ = stop_reply(kTrapSignal, 0);
    stop();
  } else if (event == devices::CharacterEvent::Closed && state_ != State::Idle) {
    leave(goes_on_alone_);
  }
}

void GdbServer::writable() {
  write_out();
  backend_.accept_input();
}

void GdbServer::send(std::string_view data) {
  last_sent_ = frame_gdb_packet(data);
  outgoing_ += last_sent_;
  write_out();
}

void GdbServer::write_out() { outgoing_.erase(0, backend_.write(as_bytes(outgoing_))); }

// --- Stopping and going on -------------------------------------------------------------------------------------------

void GdbServer::stop() {
  state_ = State::Stopping;
  services_.pause();
}

void GdbServer::machine_stopped(bool was_running) {
  if (state_ == State::Idle) return;
  goes_on_alone_ = goes_on_alone_ || was_running;
  const State before = std::exchange(state_, State::Stopped);
  if (before == State::Leaving) {
    leave(goes_on_alone_);
    return;
  }
  if (std::exchange(report_stop_, false)) {
    note_stop();
    send(stop_reply_);
  }
  backend_.accept_input();
}

// Of several reasons the one of the lowest processor is told; breakpoints of the others are met again.
void GdbServer::note_stop() {
  const bool interrupted = std::exchange(interrupted_, false);
  for (unsigned index = 0; index < services_.processors.size(); ++index) {
    const auto& hit = services_.processors[index]->debugger_stops().hit();
    if (!hit) continue;
    selected_ = index;
    const bool software = std::ranges::find(breakpoints_, Breakpoint{true, hit->linear}) != breakpoints_.end();
    stop_reply_ = stop_reply(kTrapSignal, index, describe_hit(*hit, software));
    return;
  }
  const auto stepped = std::ranges::find(actions_, ResumeAction::Step);
  if (!interrupted && stepped != actions_.end()) selected_ = static_cast<unsigned>(stepped - actions_.begin());
  stop_reply_ = stop_reply(interrupted ? kInterruptSignal : kTrapSignal, selected_);
}

void GdbServer::resume(std::vector<ResumeAction> actions) {
  cpu::DebuggerStops stops;
  for (const Breakpoint& breakpoint : breakpoints_) stops.breakpoints.push_back(breakpoint.linear);
  stops.watchpoints = watchpoints_;
  for (cpu::Cpu* cpu : services_.processors) cpu->set_debugger_stops(stops);
  actions_ = actions;
  state_ = State::Running;
  report_stop_ = goes_on_alone_ = true;
  services_.resume(std::move(actions));
}

void GdbServer::resume_all() { resume(std::vector(services_.processors.size(), ResumeAction::Run)); }

// The client is gone. Breakpoints can be taken out only while nothing runs.
void GdbServer::leave(bool go_on) {
  goes_on_alone_ = go_on;
  if (state_ != State::Stopped) {
    if (state_ == State::Running) services_.pause();
    state_ = State::Leaving;
    return;
  }
  breakpoints_.clear();
  watchpoints_.clear();
  if (go_on) {
    resume_all();
  } else {
    for (cpu::Cpu* cpu : services_.processors) cpu->set_debugger_stops({});
  }
  state_ = State::Idle;
  report_stop_ = goes_on_alone_ = false;
}

void GdbServer::machine_ends(int status) {
  if (state_ == State::Idle || state_ == State::Leaving) return;
  send(fmt::format("W{:02x}", status & 0xFF));
}

// --- Commands --------------------------------------------------------------------------------------------------------

// What is not known gets the empty answer, as the protocol wants.
std::optional<std::string> GdbServer::execute(std::string_view packet) {
  if (packet.empty()) return "";
  const std::string_view arguments = packet.substr(1);
  switch (packet[0]) {
    case '?':
      return stop_reply_;
    case 'q':
    case 'Q':
      return execute_query(packet);
    case 'v':
      return execute_verbose(packet);
    case 'c':
      return resume_from(arguments, ResumeAction::Run);
    case 's':
      return resume_from(arguments, ResumeAction::Step);
    case 'C':
    case 'S': {
      // A signal is nothing that a processor could be given.
      const size_t address = arguments.find(';');
      return resume_from(address == std::string_view::npos ? "" : arguments.substr(address + 1),
                         packet[0] == 'C' ? ResumeAction::Run : ResumeAction::Step);
    }
    case 'D':
      return detach();
    case 'k':
      services_.exit(0);
      return std::nullopt;
    case 'H':
      return select_thread(arguments);
    case 'T':
      return thread_is_alive(arguments);
    case 'g':
      return read_all_registers();
    case 'G':
      return write_all_registers(arguments);
    case 'p':
      return read_register(arguments);
    case 'P':
      return write_register(arguments);
    case 'm':
      return read_memory(arguments);
    case 'M':
      return write_memory(arguments, false);
    case 'X':
      return write_memory(arguments, true);
    case 'Z':
      return change_breakpoint(arguments, true);
    case 'z':
      return change_breakpoint(arguments, false);
    default:
      return "";
  }
}

std::optional<std::string> GdbServer::execute_query(std::string_view query) {
  if (query.starts_with("qSupported")) {
    return fmt::format("PacketSize={:x};qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+",
                       GdbPacketReader::kMaximumSize);
  }
  if (query == "QStartNoAckMode") {
    acknowledge_ = false;
    return std::string(kOk);
  }
  if (query == "qC") return fmt::format("QC{:x}", selected_ + 1);
  if (query == "qAttached") return "1";
  if (query == "qfThreadInfo") return list_threads();
  if (query == "qsThreadInfo") return "l";
  if (take(query, "qThreadExtraInfo,")) return describe_thread(query);
  if (take(query, "qXfer:features:read:")) return transfer_description(query);
  if (take(query, "qRcmd,")) return run_monitor_command(query);
  return "";
}

std::optional<std::string> GdbServer::execute_verbose(std::string_view command) {
  if (command == "vCont?") return "vCont;c;C;s;S";
  if (take(command, "vCont;")) return resume_threads(command);
  if (command.starts_with("vKill")) {
    services_.exit(0);
    return std::string(kOk);
  }
  return "";
}

// "action[:thread];...": the first action that fits a thread is its own.
std::optional<std::string> GdbServer::resume_threads(std::string_view actions) {
  std::vector<std::optional<ResumeAction>> wanted(services_.processors.size());
  while (!actions.empty()) {
    std::string_view one = actions.substr(0, actions.find(';'));
    actions.remove_prefix(std::min(actions.size(), one.size() + 1));
    const char kind = one.empty() ? ' ' : one[0];
    if (kind != 'c' && kind != 'C' && kind != 's' && kind != 'S') return std::string(kNotPossible);
    const ResumeAction action = kind == 's' || kind == 'S' ? ResumeAction::Step : ResumeAction::Run;
    const size_t colon = one.find(':');
    one.remove_prefix(colon == std::string_view::npos ? one.size() : colon + 1);
    if (one.empty() || one == "-1") {
      for (auto& place : wanted) place = place.value_or(action);
      continue;
    }
    const auto processor = processor_of(one);
    if (!processor) return std::string(kNotPossible);
    wanted[*processor] = wanted[*processor].value_or(action);
  }
  std::vector<ResumeAction> result;
  for (const auto& place : wanted) result.push_back(place.value_or(ResumeAction::Stay));
  if (std::ranges::all_of(result, [](ResumeAction action) { return action == ResumeAction::Stay; })) {
    return std::string(kNotPossible);
  }
  resume(std::move(result));
  return std::nullopt;
}

// "[address]": all run, or the selected one steps and the others wait.
std::optional<std::string> GdbServer::resume_from(std::string_view arguments, ResumeAction action) {
  if (!arguments.empty()) {
    const auto address = take_hex_number(arguments);
    if (!address) return std::string(kMalformed);
    selected().registers[cpu::kRip] = *address;
  }
  std::vector actions(services_.processors.size(),
                      action == ResumeAction::Run ? ResumeAction::Run : ResumeAction::Stay);
  actions[selected_] = action;
  resume(std::move(actions));
  return std::nullopt;
}

std::optional<std::string> GdbServer::detach() {
  send(kOk);
  leave(true);
  return std::nullopt;
}

// --- Threads ---------------------------------------------------------------------------------------------------------

// Takes a thread's number off `text`; 0 is any of them.
std::optional<unsigned> GdbServer::processor_of(std::string_view& text) const {
  const auto number = take_hex_number(text);
  if (!number || *number > services_.processors.size()) return std::nullopt;
  return *number == 0 ? selected_ : static_cast<unsigned>(*number - 1);
}

std::string GdbServer::select_thread(std::string_view arguments) {
  if (arguments.empty()) return std::string(kMalformed);
  arguments.remove_prefix(1);  // for registers, or for continuing: where it matters gdb uses vCont
  if (arguments == "-1") return std::string(kOk);
  const auto processor = processor_of(arguments);
  if (!processor) return std::string(kNotPossible);
  selected_ = *processor;
  return std::string(kOk);
}

std::string GdbServer::thread_is_alive(std::string_view arguments) const {
  return std::string(processor_of(arguments) ? kOk : kNotPossible);
}

std::string GdbServer::list_threads() const {
  std::string text;
  for (unsigned index = 0; index < services_.processors.size(); ++index) {
    text += fmt::format("{}{:x}", index == 0 ? 'm' : ',', index + 1);
  }
  return text;
}

std::string GdbServer::describe_thread(std::string_view arguments) const {
  constexpr std::array<std::string_view, 4> kActivities = {"running", "halted", "waits for start-up", "shut down"};
  const auto processor = processor_of(arguments);
  if (!processor) return std::string(kNotPossible);
  const auto activity = static_cast<size_t>(services_.processors[*processor]->activity);
  return to_hex(as_bytes(fmt::format("CPU#{} [{}]", *processor, kActivities[activity])));
}

// "annex:offset,length".
std::string GdbServer::transfer_description(std::string_view arguments) const {
  if (!take(arguments, "target.xml:")) return "E00";
  const auto area = take_area(arguments);
  const std::string text = gdb_target_description();
  if (!area || area->linear > text.size()) return std::string(kMalformed);
  const std::string part = text.substr(area->linear, std::min(area->size, GdbPacketReader::kMaximumSize / 2));
  return (area->linear + part.size() == text.size() ? 'l' : 'm') + part;
}

std::string GdbServer::run_monitor_command(std::string_view hex) const {
  const auto bytes = from_hex(hex);
  if (!bytes) return std::string(kMalformed);
  const std::string_view command(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  if (command == "info registers") return to_hex(as_bytes(cpu::describe_registers(selected())));
  return to_hex(as_bytes("The only command is: info registers\n"));
}

// --- Registers and memory --------------------------------------------------------------------------------------------

std::string GdbServer::read_all_registers() const {
  std::string text;
  for (unsigned number = 0; number < gdb_register_count(); ++number) {
    text += to_hex(read_gdb_register(selected(), number));
  }
  return text;
}

std::string GdbServer::write_all_registers(std::string_view hex) {
  const auto bytes = from_hex(hex);
  if (!bytes) return std::string(kMalformed);
  std::span<const uint8_t> rest = *bytes;
  bool all_written = true;
  for (unsigned number = 0; number < gdb_register_count() && !rest.empty(); ++number) {
    const size_t size = std::min(gdb_register_size(number), rest.size());
    all_written &= write_gdb_register(selected(), number, rest.first(size));
    rest = rest.subspan(size);
  }
  return std::string(all_written && rest.empty() ? kOk : kNotPossible);
}

std::string GdbServer::read_register(std::string_view arguments) const {
  const auto number = take_hex_number(arguments);
  if (!number || *number >= gdb_register_count()) return std::string(kNotPossible);
  return to_hex(read_gdb_register(selected(), static_cast<unsigned>(*number)));
}

std::string GdbServer::write_register(std::string_view arguments) {
  const auto number = take_hex_number(arguments);
  if (!number || !take(arguments, "=")) return std::string(kMalformed);
  const auto bytes = from_hex(arguments);
  if (!bytes) return std::string(kMalformed);
  const bool written =
      *number < gdb_register_count() && write_gdb_register(selected(), static_cast<unsigned>(*number), *bytes);
  return std::string(written ? kOk : kNotPossible);
}

std::string GdbServer::read_memory(std::string_view arguments) const {
  const auto area = take_area(arguments);
  if (!area) return std::string(kMalformed);
  const uint64_t size = std::min<uint64_t>(area->size, GdbPacketReader::kMaximumSize / 2);
  const std::vector<uint8_t> bytes = read_linear_memory(selected(), area->linear, size);
  if (bytes.empty() && size != 0) return std::string(kBadAddress);
  return to_hex(bytes);
}

// "address,length:data", in hexadecimal or as it is.
std::string GdbServer::write_memory(std::string_view arguments, bool binary) {
  const auto area = take_area(arguments);
  if (!area || !take(arguments, ":")) return std::string(kMalformed);
  const auto bytes = binary ? std::vector(as_bytes(arguments).begin(), as_bytes(arguments).end()) : from_hex(arguments);
  if (!bytes || bytes->size() != area->size) return std::string(kMalformed);
  return std::string(write_linear_memory(selected(), area->linear, *bytes) ? kOk : kBadAddress);
}

// "type,address,kind": software and hardware breakpoint, write, read and access watchpoint. The kind of a watchpoint
// is its length. Inserting what is there already changes nothing, as does removing what is not.
std::string GdbServer::change_breakpoint(std::string_view arguments, bool insert) {
  const auto type = take_hex_number(arguments);
  if (!type || !take(arguments, ",")) return std::string(kMalformed);
  const auto area = take_area(arguments);
  if (!area) return std::string(kMalformed);
  const auto change = [insert](auto& list, const auto& entry) {
    std::erase(list, entry);
    if (!insert) return std::string(kOk);
    if (list.size() >= kMaximumBreakpoints) return std::string(kNotPossible);
    list.push_back(entry);
    return std::string(kOk);
  };
  if (*type <= 1) return change(breakpoints_, Breakpoint{*type == 0, area->linear});
  if (*type > 4) return "";
  if (area->size == 0) return std::string(kNotPossible);
  constexpr std::array kKinds = {Hit::Kind::Write, Hit::Kind::Read, Hit::Kind::Access};
  return change(watchpoints_, cpu::DebuggerStops::Watchpoint{kKinds[*type - 2], area->linear, area->size});
}

}  // namespace calco::machine
