// A stream socket, Unix or TCP, as server or client.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "devices/host/descriptor_backend.h"

namespace calco::devices {

struct SocketAddress {
  bool unix_domain = false;
  std::string path;  // of a Unix socket
  std::string host;  // of a TCP socket; empty: every address of this host (server), this host (client)
  std::string port;  // number or service name
};

struct SocketOptions {
  SocketAddress address;
  bool server = false;
  bool wait = true;                // server: the constructor waits for the first client
  bool no_delay = false;           // TCP: send small pieces at once
  unsigned reconnect_seconds = 0;  // client: try again after a loss; 0 never
};

// One peer at a time. A server takes the next client when the last has gone; further ones wait in the queue of the
// host. While nobody is connected output is lost.
class SocketBackend final : public DescriptorBackend {
 public:
  // Throws std::runtime_error where the address cannot be used; a client that may reconnect does not mind.
  SocketBackend(EventLoop& loop, SocketOptions options);
  ~SocketBackend() override;
  std::string description() const override;
  // Of a TCP server: the port in use, which is of interest where port 0 was asked for.
  uint16_t local_port() const;

 private:
  void listen();
  void accept_client(int flags);
  void try_to_connect();
  void schedule_reconnect();
  void adopt(FileDescriptor stream);
  void connection_lost() override;

  SocketOptions options_;
  FileDescriptor listener_;
  FileDescriptor stream_;
  FileDescriptor reconnect_timer_;
  EventLoop::WatchId listener_watch_ = 0;
  EventLoop::WatchId reconnect_watch_ = 0;
};

}  // namespace calco::devices
