#include "devices/host/socket_backend.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

namespace calco::devices {

namespace {

std::string describe(const SocketAddress& address) {
  return address.unix_domain ? "unix:" + address.path : fmt::format("tcp:{}:{}", address.host, address.port);
}

[[noreturn]] void fail(const SocketAddress& address, const char* reason) {
  throw std::runtime_error(fmt::format("{}: {}", describe(address), reason));
}

sockaddr_un unix_address(const SocketAddress& address) {
  sockaddr_un result{};
  result.sun_family = AF_UNIX;
  if (address.path.size() >= sizeof(result.sun_path)) fail(address, "path too long for a Unix socket");
  std::memcpy(result.sun_path, address.path.data(), address.path.size());
  return result;
}

// For how long an attempt to connect may hold the loop, with the device lock held.
constexpr timeval kConnectLimit{.tv_sec = 0, .tv_usec = 500'000};

using Attempt = int (*)(int descriptor, const sockaddr* address, socklen_t length);

int attempt_bind(int descriptor, const sockaddr* address, socklen_t length) {
  const int reuse = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
  return ::bind(descriptor, address, length);
}

int attempt_connect(int descriptor, const sockaddr* address, socklen_t length) {
  // Bounds connect(2) on Linux (socket(7)).
  setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &kConnectLimit, sizeof(kConnectLimit));
  return ::connect(descriptor, address, length);
}

FileDescriptor open_unix(const SocketAddress& address, Attempt attempt) {
  const sockaddr_un name = unix_address(address);
  FileDescriptor result(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!result.valid() || attempt(result.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) {
    fail(address, std::strerror(errno));
  }
  return result;
}

// The first of the host's addresses that works.
FileDescriptor open_tcp(const SocketAddress& address, bool server, Attempt attempt) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = server ? AI_PASSIVE : 0;
  addrinfo* found = nullptr;
  const char* host = address.host.empty() ? nullptr : address.host.c_str();
  const int error = getaddrinfo(host, address.port.c_str(), &hints, &found);
  if (error != 0) fail(address, gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(found, freeaddrinfo);

  int last_error = EADDRNOTAVAIL;
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    FileDescriptor candidate(::socket(entry->ai_family, entry->ai_socktype | SOCK_CLOEXEC, entry->ai_protocol));
    if (candidate.valid() && attempt(candidate.get(), entry->ai_addr, entry->ai_addrlen) == 0) return candidate;
    last_error = errno;
  }
  fail(address, std::strerror(last_error));
}

FileDescriptor open_socket(const SocketOptions& options, Attempt attempt) {
  return options.address.unix_domain ? open_unix(options.address, attempt)
                                     : open_tcp(options.address, options.server, attempt);
}

}  // namespace

SocketBackend::SocketBackend(EventLoop& loop, SocketOptions options)
    : DescriptorBackend(loop), options_(std::move(options)) {
  if (options_.server) {
    listen();
  } else {
    try_to_connect();
  }
}

SocketBackend::~SocketBackend() {
  std::lock_guard lock(loop_.device_lock());
  detach();
  if (stream_.valid()) ::shutdown(stream_.get(), SHUT_RDWR);
  if (listener_watch_ != 0) loop_.remove(listener_watch_);
  if (reconnect_watch_ != 0) loop_.remove(reconnect_watch_);
  if (listener_.valid() && options_.address.unix_domain) ::unlink(options_.address.path.c_str());
}

std::string SocketBackend::description() const {
  return fmt::format("{}{}{}", connected() ? "" : "disconnected:", describe(options_.address),
                     options_.server ? ",server=on" : "");
}

uint16_t SocketBackend::local_port() const {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (!listener_.valid() || getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port);
  return 0;
}

// --- Server ----------------------------------------------------------------------------------------------------------

void SocketBackend::listen() {
  // A socket that a dead process left behind would be in the way.
  if (options_.address.unix_domain) ::unlink(options_.address.path.c_str());
  listener_ = open_socket(options_, attempt_bind);
  if (::listen(listener_.get(), 1) != 0) fail(options_.address, std::strerror(errno));
  std::lock_guard lock(loop_.device_lock());
  if (options_.wait) {
    fmt::print(stderr, "calco: waiting for a connection on {}\n", describe(options_.address));
    accept_client(0);
  }
  fcntl(listener_.get(), F_SETFL, O_NONBLOCK);
  listener_watch_ = loop_.add_fd(listener_.get(), stream_.valid() ? 0 : EventLoop::kReadable,
                                 [this](unsigned) { accept_client(SOCK_NONBLOCK); });
}

void SocketBackend::accept_client(int flags) {
  FileDescriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | flags));
  if (!client.valid()) return;
  if (listener_watch_ != 0) loop_.set_events(listener_watch_, 0);
  adopt(std::move(client));
}

// --- Client ----------------------------------------------------------------------------------------------------------

void SocketBackend::try_to_connect() {
  std::lock_guard lock(loop_.device_lock());
  try {
    adopt(open_socket(options_, attempt_connect));
  } catch (const std::runtime_error&) {
    if (options_.reconnect_seconds == 0) throw;
    schedule_reconnect();
  }
}

void SocketBackend::schedule_reconnect() {
  if (!reconnect_timer_.valid()) {
    reconnect_timer_.reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    reconnect_watch_ = loop_.add_fd(reconnect_timer_.get(), EventLoop::kReadable, [this](unsigned) {
      uint64_t expirations = 0;
      (void)!::read(reconnect_timer_.get(), &expirations, sizeof(expirations));
      if (!stream_.valid()) try_to_connect();
    });
  }
  itimerspec setting{};
  setting.it_value.tv_sec = options_.reconnect_seconds;
  timerfd_settime(reconnect_timer_.get(), 0, &setting, nullptr);
}

// --- The stream ------------------------------------------------------------------------------------------------------

void SocketBackend::adopt(FileDescriptor stream) {
  stream_ = std::move(stream);
  fcntl(stream_.get(), F_SETFL, O_NONBLOCK);
  if (!options_.address.unix_domain && options_.no_delay) {
    const int on = 1;
    setsockopt(stream_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  attach(stream_.get(), stream_.get(), true);
  if (front_end_ != nullptr) front_end_->backend_event(CharacterEvent::Opened);
}

void SocketBackend::connection_lost() {
  abandon();
  ::shutdown(stream_.get(), SHUT_RDWR);
  stream_.reset();
  if (listener_watch_ != 0) loop_.set_events(listener_watch_, EventLoop::kReadable);
  if (!options_.server && options_.reconnect_seconds != 0) schedule_reconnect();
  if (front_end_ != nullptr) front_end_->backend_event(CharacterEvent::Closed);
}

}  // namespace calco::devices
