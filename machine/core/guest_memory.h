// The host memory behind guest RAM and ROM, and what is known about each of its pages.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace calco {

constexpr uint64_t kPageSize = 4096;
constexpr uint64_t kPageMask = ~(kPageSize - 1);
// Code is tracked in granules of this many bytes: a store invalidates the translations that touch its granules only.
constexpr uint64_t kCodeGranule = 64;

// One shared mapping (memfd) that holds all RAM and ROM of the machine, so that KVM, translators and other processes
// see the same bytes. A byte in it is named by its *memory offset*, which is not its guest physical address: the
// memory map decides where each part appears, and may show the same part twice.
//
// Threads: data() is plain shared memory. The code granules are atomics changed under the page's lock.
class GuestMemory {
 public:
  // Reserves `capacity` bytes (rounded up to pages); parts are handed out by allocate(). Throws std::system_error.
  explicit GuestMemory(uint64_t capacity);
  GuestMemory(const GuestMemory&) = delete;
  GuestMemory& operator=(const GuestMemory&) = delete;
  ~GuestMemory();

  // The memory offset of `size` fresh zero bytes, page aligned. Throws std::bad_alloc beyond the capacity.
  uint64_t allocate(uint64_t size);

  uint8_t* data() const { return data_; }
  uint64_t capacity() const { return capacity_; }
  int file_descriptor() const { return file_descriptor_; }
  bool owns(const void* host) const { return host >= data_ && host < data_ + capacity_; }
  uint64_t offset_of(const void* host) const {
    return static_cast<uint64_t>(static_cast<const uint8_t*>(host) - data_);
  }

  // --- Code tracking -------------------------------------------------------------------------------------------
  // One bit a granule, one word a page: which granules hold decoded or translated code of any vCPU.
  uint64_t code_granules(uint64_t offset) const { return code_[offset / kPageSize].load(std::memory_order_acquire); }
  // Bits of the granules that the `size` bytes at `offset` touch; the bytes lie in one page.
  static uint64_t granule_mask(uint64_t offset, uint64_t size);
  // Marks code. False means that fast stores to the page may still be under way on other vCPUs: the caller stops them
  // once before it reads the bytes.
  bool mark_code(uint64_t offset, uint64_t size);
  // Whether stores to the page must come through before_store(): it holds code, or did a few stores ago.
  bool watches_stores(uint64_t offset) const {
    return patience_[offset / kPageSize].load(std::memory_order_acquire) != 0;
  }
  // Who is told when bytes that hold code are about to change: (memory offset, size), in one page. Called with the
  // page's lock held, before the store. Set once by the builder.
  using CodeObserver = std::function<void(uint64_t offset, uint64_t size)>;
  void set_code_observer(CodeObserver observer) { code_observer_ = std::move(observer); }
  // To be called before bytes are stored by anything but a vCPU's fast path; drops code marks and tells the observer.
  // Any size; cheap where no code is. Returns true where stores to the (last) page need not come here any more: it
  // holds no code, and so many stores met none since it did that it will not soon.
  bool before_store(uint64_t offset, uint64_t size);
  // Behind a store whose before_store() found code in the page: who decoded or translated the bytes in between saw the
  // old ones, and is told again. Any size.
  void after_store(uint64_t offset, uint64_t size);

 private:
  static constexpr size_t kLocks = 64;
  static constexpr uint8_t kPatience = 255;
  std::mutex& page_lock(uint64_t offset) { return locks_[offset / kPageSize % kLocks]; }

  uint8_t* data_ = nullptr;
  uint64_t capacity_ = 0;
  uint64_t allocated_ = 0;
  int file_descriptor_ = -1;
  std::atomic<uint64_t>* code_ = nullptr;
  std::atomic<uint8_t>* patience_ = nullptr;  // one a page: stores that shall still be watched; 0: none is
  std::unique_ptr<std::mutex[]> locks_;       // leaf locks, but for the observer, which may only post messages
  CodeObserver code_observer_;
};

}  // namespace calco
