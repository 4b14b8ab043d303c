// The command line's words for character devices: -serial, -monitor, -debugcon, -chardev.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "devices/host/character_backend.h"
#include "devices/host/ring_buffer_backend.h"
#include "devices/host/socket_backend.h"

namespace calco::devices {

class EventLoop;

// What a character device is connected to.
struct CharacterSpec {
  struct None {};  // the device itself shall not exist
  struct Null {};
  struct Stdio {
    bool signals = true;  // Ctrl-C ends Calco
  };
  struct File {
    std::string path;
    bool append = false;
  };
  struct Pipe {
    std::string path;
  };
  struct Pty {};
  struct RingBuffer {
    size_t capacity = RingBufferBackend::kDefaultCapacity;
  };
  struct Reference {
    std::string id;  // of a -chardev
  };
  using Target = std::variant<None, Null, Stdio, File, Pipe, Pty, SocketOptions, RingBuffer, Reference>;

  Target target;
  std::string id;             // -chardev only
  bool mux = false;           // several front ends may share it
  bool with_monitor = false;  // "mon:": the monitor is one of them
};

// The argument of -serial, -monitor, -debugcon and the like: "stdio", "mon:stdio", "file:PATH", "pipe:PATH", "null",
// "none", "pty", "unix:PATH,server=on,wait=off", "tcp:HOST:PORT,server=on", "chardev:ID". `option` ("-serial") is for
// messages. Throws OptionError.
CharacterSpec parse_character_device(std::string_view option, std::string_view text);

// The argument of -chardev: "socket,id=ID,path=PATH,server=on". Throws OptionError.
CharacterSpec parse_chardev(std::string_view text);

// The back end for a specification; null for None and Reference, which have none of their own. `label` names the
// device in messages ("serial0"). Does not add a mux. Throws std::runtime_error where the host refuses.
std::unique_ptr<CharacterBackend> make_character_backend(const CharacterSpec& spec, EventLoop& loop,
                                                         const std::string& label);

}  // namespace calco::devices
