#include "jit/runtime/code_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <numeric>
#include <system_error>

namespace calco::jit {

namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

size_t aligned(size_t size, size_t alignment) { return (size + alignment - 1) / alignment * alignment; }

}  // namespace

CodeCache::CodeCache(size_t size) : size_(aligned(std::max(size, kMinimumBytes), kSegments * 4096)) {
  // Without a file: perf looks names up (perf_map.h) only for code that lies in anonymous memory.
  void* view = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (view == MAP_FAILED) fail("code cache: writable view");
  writable_ = static_cast<uint8_t*>(view);
  void* both = mmap(nullptr, 2 * size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (both == MAP_FAILED) fail("code cache");
  executable_ = static_cast<uint8_t*>(both);
  data_ = executable_ + size_;
  // An old size of 0 maps the same pages a second time (mremap(2)).
  if (mremap(writable_, 0, size_, MREMAP_MAYMOVE | MREMAP_FIXED, executable_) == MAP_FAILED) share_file();
  if (mprotect(executable_, size_, PROT_READ | PROT_EXEC) != 0) fail("code cache: executable memory");
  if (mprotect(data_, size_, PROT_READ | PROT_WRITE) != 0) fail("code cache: data");
}

// Where mremap does not do that, as under qemu-user.
void CodeCache::share_file() {
  const int file = memfd_create("calco-code", MFD_CLOEXEC);
  const bool shared = file >= 0 && ftruncate(file, static_cast<off_t>(size_)) == 0 &&
                      mmap(writable_, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) != MAP_FAILED &&
                      mmap(executable_, size_, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0) != MAP_FAILED;
  if (file >= 0) close(file);
  if (!shared) fail("code cache: two views");
}

CodeCache::~CodeCache() {
  munmap(writable_, size_);
  munmap(executable_, 2 * size_);
}

uint8_t* CodeCache::allocate_code(size_t bytes) {
  const size_t start = aligned(code_used_, 16);
  if (start + bytes > segment_bytes()) return nullptr;
  code_used_ = start + bytes;
  segment_used_[segment_] = code_used_;
  return writable_ + segment_ * segment_bytes() + start;
}

void CodeCache::trim(uint8_t* end) {
  code_used_ = static_cast<size_t>(end - (writable_ + segment_ * segment_bytes()));
  segment_used_[segment_] = code_used_;
}

uint8_t* CodeCache::allocate_data(size_t bytes) {
  const size_t size = aligned(bytes, 8);
  if (data_used_ + size > segment_bytes()) return nullptr;
  uint8_t* data = data_ + segment_ * segment_bytes() + data_used_;
  data_used_ += size;
  std::memset(data, 0, size);
  return data;
}

size_t CodeCache::used() const {
  return std::accumulate(std::begin(segment_used_), std::end(segment_used_), size_t{0});
}

unsigned CodeCache::next_segment() {
  segment_ = (segment_ + 1) % kSegments;
  code_used_ = segment_ == 0 ? kept_ : 0;
  data_used_ = 0;
  segment_used_[segment_] = code_used_;
  return segment_;
}

}  // namespace calco::jit
