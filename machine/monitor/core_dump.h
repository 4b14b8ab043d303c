// Guest memory and registers as an ELF core file, which gdb and crash read.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "machine/monitor/output_file.h"
#include "machine/pc/pc_board.h"

namespace calco::machine {

// Which part of guest physical memory.
struct CoreRange {
  uint64_t first = 0;
  uint64_t last = UINT64_MAX;
};

enum class CoreAddresses : uint8_t {
  Physical,  // segments carry guest physical addresses as their virtual ones too
  Linear,    // one segment a run of pages that the first processor's page tables map
};

struct CoreRequest {
  std::string path;  // on the host; what is there is replaced
  CoreAddresses addresses = CoreAddresses::Physical;
  CoreRange range = {};
};

struct CoreContents;

// An ELF64 core that is being written: one NT_PRSTATUS note a processor, and a PT_LOAD for every run of RAM in the
// range. A file that is not finished is removed.
//
// Threads: constructor, destructor and join() without the device lock, every processor paused from the first to the
// last. Writes on a thread of its own, which takes the device lock for as long as it looks, not while the host's file
// lets it wait.
class CoreDump {
 public:
  // Opens the file and begins. Throws MonitorError where that cannot be. `done` is called on the other thread when
  // there is nothing left to write, or no way; it may not destroy the object. `board` outlives it.
  CoreDump(PcBoard& board, const CoreRequest& request, std::function<void()> done);
  CoreDump(const CoreDump&) = delete;
  CoreDump& operator=(const CoreDump&) = delete;
  // Breaks it off, also where nobody reads what is written.
  ~CoreDump();

  // Bytes of RAM. From any thread.
  uint64_t completed() const { return completed_; }
  uint64_t total() const { return total_; }
  // After `done`: why it failed, in one line; empty where it is complete.
  const std::string& error() const { return error_; }

 private:
  void write();

  PcBoard& board_;
  std::unique_ptr<CoreContents> contents_;
  OutputFile file_;
  uint64_t total_ = 0;
  std::atomic<uint64_t> completed_{0};
  std::string error_;
  std::thread thread_;
};

}  // namespace calco::machine
