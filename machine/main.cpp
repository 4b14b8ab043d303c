// calco: from the command line to a running machine and back.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <span>
#include <string>

#include "machine/core/option_error.h"
#include "machine/machine.h"
#include "machine/options/command_line.h"
#include "machine/pc/preparation.h"

namespace {

using calco::machine::Machine;
using calco::machine::MachineConfig;

void say(const std::string& line) { std::fprintf(stderr, "calco: %s\n", line.c_str()); }

// A file with the process id, removed at the end.
class ProcessIdFile {
 public:
  explicit ProcessIdFile(std::string path) : path_(std::move(path)) {
    if (path_.empty()) return;
    std::ofstream file(path_);
    file << getpid() << '\n';
    if (!file.flush()) throw calco::OptionError("-pidfile", "cannot write '" + path_ + "'");
  }
  ProcessIdFile(const ProcessIdFile&) = delete;
  ProcessIdFile& operator=(const ProcessIdFile&) = delete;
  ~ProcessIdFile() {
    if (!path_.empty()) unlink(path_.c_str());
  }

 private:
  std::string path_;
};

int run(MachineConfig config) {
  const std::string process_id_file = config.process_id_file;
  const calco::machine::PreparedPc prepared = calco::machine::prepare_pc(std::move(config));
  for (const std::string& note : prepared.config.notes) say(note);
  for (const std::string& warning : prepared.model.warnings()) say(warning);
  const ProcessIdFile id(process_id_file);
  Machine machine(prepared);
  for (int signal : {SIGINT, SIGTERM, SIGHUP}) {
    machine.loop().on_signal(signal, [&machine](int) { machine.request_exit(0); });
  }
  return machine.run();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto arguments = std::span<const char* const>(argv, static_cast<size_t>(argc)).subspan(argc > 0 ? 1 : 0);
    calco::machine::CommandLine command_line = calco::machine::parse_command_line(arguments);
    if (command_line.answer) {
      std::fputs(command_line.answer->c_str(), stdout);
      return 0;
    }
    return run(std::move(command_line.config));
  } catch (const calco::OptionError& refusal) {
    say(refusal.what());
  } catch (const std::exception& error) {
    say(error.what());
  }
  return 1;
}
