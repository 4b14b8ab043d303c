#include "machine/core/guest_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>

namespace calco {

namespace {

void* map_or_throw(uint64_t size, int flags, int file_descriptor) {
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, file_descriptor, 0);
  if (address == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mapping guest memory");
  return address;
}

uint64_t code_map_bytes(uint64_t capacity) { return capacity / kPageSize * sizeof(uint64_t); }

// Most stores to pages with code need no lock: who marks the granules of `mask` meanwhile is met in after_store(). The
// last bit of a page's patience is spent under the lock.
bool store_beside_code(const std::atomic<uint64_t>& granules, std::atomic<uint8_t>& patience, uint64_t mask) {
  const uint64_t code = granules.load(std::memory_order_acquire);
  if (code != 0) return (code & mask) == 0;
  uint8_t left = patience.load(std::memory_order_relaxed);
  return left > 1 && patience.compare_exchange_strong(left, static_cast<uint8_t>(left - 1));
}

}  // namespace

GuestMemory::GuestMemory(uint64_t capacity)
    : capacity_((capacity + kPageSize - 1) & kPageMask), locks_(std::make_unique<std::mutex[]>(kLocks)) {
  file_descriptor_ = memfd_create("guest-memory", MFD_CLOEXEC);
  if (file_descriptor_ < 0 || ftruncate(file_descriptor_, static_cast<off_t>(capacity_)) != 0) {
    throw std::system_error(errno, std::generic_category(), "creating guest memory");
  }
  data_ = static_cast<uint8_t*>(map_or_throw(capacity_, MAP_SHARED | MAP_NORESERVE, file_descriptor_));
  // Best effort: fewer host TLB misses where the host grants huge pages to shared memory.
  madvise(data_, capacity_, MADV_HUGEPAGE);
  // Fresh anonymous pages are zero, which is a valid representation of the atomics, and cost nothing until touched.
  code_ = static_cast<std::atomic<uint64_t>*>(
      map_or_throw(code_map_bytes(capacity_), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1));
  patience_ = static_cast<std::atomic<uint8_t>*>(
      map_or_throw(capacity_ / kPageSize, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1));
}

GuestMemory::~GuestMemory() {
  munmap(patience_, capacity_ / kPageSize);
  munmap(code_, code_map_bytes(capacity_));
  munmap(data_, capacity_);
  close(file_descriptor_);
}

uint64_t GuestMemory::allocate(uint64_t size) {
  const uint64_t rounded = (size + kPageSize - 1) & kPageMask;
  if (rounded < size || capacity_ - allocated_ < rounded) throw std::bad_alloc();
  const uint64_t offset = allocated_;
  allocated_ += rounded;
  return offset;
}

uint64_t GuestMemory::granule_mask(uint64_t offset, uint64_t size) {
  const uint64_t first = offset % kPageSize / kCodeGranule;
  const uint64_t last = (offset % kPageSize + size - 1) / kCodeGranule;
  return (~uint64_t{0} << first) & (~uint64_t{0} >> (63 - last));
}

bool GuestMemory::mark_code(uint64_t offset, uint64_t size) {
  std::lock_guard lock(page_lock(offset));
  code_[offset / kPageSize].fetch_or(granule_mask(offset, size));
  return patience_[offset / kPageSize].exchange(kPatience) != 0;
}

bool GuestMemory::before_store(uint64_t offset, uint64_t size) {
  bool clean = true;
  while (size != 0) {
    const uint64_t part = std::min(size, kPageSize - offset % kPageSize);
    clean = !watches_stores(offset);
    const uint64_t mask = granule_mask(offset, part);
    if (!clean && !store_beside_code(code_[offset / kPageSize], patience_[offset / kPageSize], mask)) {
      std::lock_guard lock(page_lock(offset));
      auto& granules = code_[offset / kPageSize];
      if ((granules.load(std::memory_order_relaxed) & mask) != 0) {
        granules.fetch_and(~mask);
        if (code_observer_) code_observer_(offset, part);
      }
      auto& patience = patience_[offset / kPageSize];
      if (granules.load(std::memory_order_relaxed) == 0 && patience.load() != 0) clean = patience.fetch_sub(1) == 1;
    }
    offset += part;
    size -= part;
  }
  return clean;
}

void GuestMemory::after_store(uint64_t offset, uint64_t size) {
  // The marks are read behind the store, as whoever marks reads the bytes behind the mark.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  while (size != 0) {
    const uint64_t part = std::min(size, kPageSize - offset % kPageSize);
    if ((code_granules(offset) & granule_mask(offset, part)) != 0) before_store(offset, part);
    offset += part;
    size -= part;
  }
}

}  // namespace calco
