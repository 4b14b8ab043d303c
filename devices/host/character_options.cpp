#include "devices/host/character_options.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "devices/host/file_backend.h"
#include "devices/host/null_backend.h"
#include "devices/host/pipe_backend.h"
#include "devices/host/pty_backend.h"
#include "devices/host/stdio_backend.h"
#include "machine/core/option_error.h"
#include "machine/core/option_syntax.h"

namespace calco::devices {

namespace {

constexpr std::string_view kDevices =
    "write stdio, mon:stdio, file:PATH, pipe:PATH, null, none, pty, unix:PATH, tcp:HOST:PORT or chardev:ID";
constexpr std::string_view kBackends = "write stdio, file, pipe, null, pty, socket or ringbuf, then ,id=ID";

// Settings "key=value", "key" (on) and "nokey" (off) of one device. Each is taken once; what is left is unknown.
class Settings {
 public:
  Settings(std::string_view option, std::string_view text) : context_(fmt::format("{} {}", option, text)) {}

  void add(const std::string& part) {
    const size_t equals = part.find('=');
    if (equals != std::string::npos) {
      values_[part.substr(0, equals)] = part.substr(equals + 1);
    } else if (part.starts_with("no")) {
      values_[part.substr(2)] = "off";
    } else {
      values_[part] = "on";
    }
  }

  [[noreturn]] void fail(std::string_view explanation) const { throw OptionError(context_, explanation); }

  std::optional<std::string> take(const std::string& key) {
    const auto found = values_.find(key);
    if (found == values_.end()) return std::nullopt;
    std::string value = std::move(found->second);
    values_.erase(found);
    return value;
  }

  std::string take_required(const std::string& key) {
    const auto value = take(key);
    if (!value || value->empty()) fail(fmt::format("{} is missing; write {}=...", key, key));
    return *value;
  }

  bool take_switch(const std::string& key, bool otherwise) {
    const auto value = take(key);
    if (!value) return otherwise;
    if (*value == "on" || *value == "yes" || *value == "true") return true;
    if (*value == "off" || *value == "no" || *value == "false") return false;
    fail(fmt::format("{}={} makes no sense; write {}=on or {}=off", key, *value, key, key));
  }

  uint64_t take_number(const std::string& key, uint64_t otherwise, uint64_t maximum) {
    const auto value = take(key);
    if (!value) return otherwise;
    uint64_t number = 0;
    const char* end = value->data() + value->size();
    const auto [stop, error] = std::from_chars(value->data(), end, number);
    if (error != std::errc() || stop != end || number > maximum) {
      fail(fmt::format("{}={} makes no sense; write a number up to {}", key, *value, maximum));
    }
    return number;
  }

  void expect_empty() const {
    if (!values_.empty()) fail(fmt::format("there is no setting '{}' here", values_.begin()->first));
  }

 private:
  std::string context_;
  std::map<std::string, std::string> values_;
};

SocketOptions take_socket(Settings& settings, SocketAddress address) {
  SocketOptions options;
  options.address = std::move(address);
  options.server = settings.take_switch("server", false);
  const auto wait = settings.take_switch("wait", options.server);
  if (wait && !options.server) settings.fail("only a server can wait; add server=on");
  options.wait = wait;
  options.no_delay = !settings.take_switch("delay", true);
  options.no_delay = settings.take_switch("nodelay", options.no_delay);
  options.reconnect_seconds = static_cast<unsigned>(settings.take_number("reconnect", 0, 86'400));
  if (options.server && options.reconnect_seconds != 0) settings.fail("only a client reconnects; leave out reconnect");
  if (settings.take_switch("telnet", false)) settings.fail("the telnet protocol is not spoken here; use a raw socket");
  return options;
}

// "HOST:PORT" or "[IPV6]:PORT".
SocketAddress parse_tcp_address(const Settings& settings, std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) {
    settings.fail("port missing; write tcp:HOST:PORT");
  }
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  SocketAddress address;
  address.host = host;
  address.port = text.substr(colon + 1);
  return address;
}

SocketAddress parse_unix_address(const Settings& settings, const std::string& path) {
  if (path.empty()) settings.fail("path missing; write unix:PATH");
  SocketAddress address;
  address.unix_domain = true;
  address.path = path;
  return address;
}

// What stands before the first colon and what behind; both whole words where there is no colon.
std::pair<std::string_view, std::string_view> split_scheme(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return {text, {}};
  return {text.substr(0, colon + 1), text.substr(colon + 1)};
}

CharacterSpec::Target parse_socket_device(Settings& settings, bool unix_domain, std::string_view text) {
  const std::vector<std::string> parts = split_at_commas(text);
  for (size_t i = 1; i < parts.size(); ++i) settings.add(parts[i]);
  const SocketAddress address =
      unix_domain ? parse_unix_address(settings, parts[0]) : parse_tcp_address(settings, parts[0]);
  SocketOptions options = take_socket(settings, address);
  settings.expect_empty();
  return options;
}

CharacterSpec::Target parse_target(std::string_view option, std::string_view text, bool with_monitor) {
  Settings settings(option, text);
  const auto [scheme, rest] = split_scheme(text);
  // Whoever has the monitor on the terminal ends Calco from there: Ctrl-C goes to the guest.
  if (text == "stdio") return CharacterSpec::Stdio{.signals = !with_monitor};
  if (text == "null") return CharacterSpec::Null{};
  if (text == "none") return CharacterSpec::None{};
  if (text == "pty") return CharacterSpec::Pty{};
  if (scheme == "unix:" || scheme == "tcp:") return parse_socket_device(settings, scheme == "unix:", rest);
  if (scheme == "file:") {
    if (rest.empty()) settings.fail("path missing; write file:PATH");
    return CharacterSpec::File{.path = std::string(rest)};
  }
  if (scheme == "pipe:") {
    if (rest.empty()) settings.fail("path missing; write pipe:PATH");
    return CharacterSpec::Pipe{std::string(rest)};
  }
  if (scheme == "chardev:") {
    if (rest.empty()) settings.fail("id missing; write chardev:ID with the id of a -chardev");
    return CharacterSpec::Reference{std::string(rest)};
  }
  settings.fail(fmt::format("unknown character device; {}", kDevices));
}

CharacterSpec::Target take_socket_backend(Settings& settings) {
  SocketAddress address;
  if (const auto path = settings.take("path")) {
    address = parse_unix_address(settings, *path);
  } else {
    address.host = settings.take("host").value_or("");
    address.port = settings.take_required("port");
  }
  return take_socket(settings, address);
}

CharacterSpec::Target take_backend(Settings& settings, std::string_view kind) {
  if (kind == "null") return CharacterSpec::Null{};
  if (kind == "pty") return CharacterSpec::Pty{};
  if (kind == "stdio") return CharacterSpec::Stdio{settings.take_switch("signal", true)};
  if (kind == "socket") return take_socket_backend(settings);
  if (kind == "file") {
    std::string path = settings.take_required("path");
    return CharacterSpec::File{std::move(path), settings.take_switch("append", false)};
  }
  if (kind == "pipe") return CharacterSpec::Pipe{settings.take_required("path")};
  if (kind == "ringbuf" || kind == "memory") {
    const uint64_t size = settings.take_number("size", RingBufferBackend::kDefaultCapacity, uint64_t{1} << 30);
    if (!std::has_single_bit(size)) settings.fail("the size has to be a power of two");
    return CharacterSpec::RingBuffer{size};
  }
  settings.fail(fmt::format("unknown back end '{}'; {}", kind, kBackends));
}

}  // namespace

CharacterSpec parse_character_device(std::string_view option, std::string_view text) {
  constexpr std::string_view kMonitorPrefix = "mon:";
  CharacterSpec spec;
  spec.with_monitor = text.starts_with(kMonitorPrefix);
  spec.mux = spec.with_monitor;
  const std::string_view device = spec.with_monitor ? text.substr(kMonitorPrefix.size()) : text;
  spec.target = parse_target(option, device, spec.with_monitor);
  if (spec.with_monitor && std::holds_alternative<CharacterSpec::None>(spec.target)) {
    throw OptionError(option, "mon:none leaves the monitor without a place; write mon:stdio or none");
  }
  return spec;
}

CharacterSpec parse_chardev(std::string_view text) {
  const std::vector<std::string> parts = split_at_commas(text);
  Settings settings("-chardev", text);
  for (size_t i = 1; i < parts.size(); ++i) settings.add(parts[i]);
  CharacterSpec spec;
  spec.target = take_backend(settings, parts[0]);
  spec.id = settings.take_required("id");
  spec.mux = settings.take_switch("mux", false);
  settings.expect_empty();
  return spec;
}

namespace {

// Makes the back end for each kind of target.
struct BackendMaker {
  using Result = std::unique_ptr<CharacterBackend>;

  Result operator()(const CharacterSpec::None&) const { return nullptr; }
  Result operator()(const CharacterSpec::Reference&) const { return nullptr; }
  Result operator()(const CharacterSpec::Null&) const { return std::make_unique<NullBackend>(); }
  Result operator()(const CharacterSpec::Stdio& stdio) const {
    return std::make_unique<StdioBackend>(loop, stdio.signals);
  }
  Result operator()(const CharacterSpec::File& file) const {
    return std::make_unique<FileBackend>(loop, file.path, file.append);
  }
  Result operator()(const CharacterSpec::Pipe& pipe) const { return std::make_unique<PipeBackend>(loop, pipe.path); }
  Result operator()(const CharacterSpec::Pty&) const { return std::make_unique<PtyBackend>(loop, label); }
  Result operator()(const SocketOptions& socket) const { return std::make_unique<SocketBackend>(loop, socket); }
  Result operator()(const CharacterSpec::RingBuffer& ring) const {
    return std::make_unique<RingBufferBackend>(ring.capacity);
  }

  EventLoop& loop;
  const std::string& label;
};

}  // namespace

std::unique_ptr<CharacterBackend> make_character_backend(const CharacterSpec& spec, EventLoop& loop,
                                                         const std::string& label) {
  return std::visit(BackendMaker{loop, label}, spec.target);
}

}  // namespace calco::devices
