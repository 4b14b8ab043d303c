// A page of memory that is writable and executable.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace calco::oracle {

class CodePage {
 public:
  static constexpr size_t kBytes = 4096;

  CodePage() {
    void* page = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) throw std::runtime_error("no executable memory");
    bytes_ = static_cast<uint8_t*>(page);
  }
  ~CodePage() { munmap(bytes_, kBytes); }
  CodePage(const CodePage&) = delete;
  CodePage& operator=(const CodePage&) = delete;

  uint8_t* bytes() { return bytes_; }

 private:
  uint8_t* bytes_;
};

}  // namespace calco::oracle
