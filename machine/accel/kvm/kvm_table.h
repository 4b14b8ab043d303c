// KVM's structures that end in an array: kvm_cpuid2, kvm_msrs, kvm_irq_routing, kvm_xsave.
#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace calco::machine {

// What they begin with. The kernel's own declarations have another size in C++ than in C (an empty structure takes a
// byte there), and with it other call numbers; so the calls are numbered here.
struct KvmTableHeader {
  uint32_t count;  // nent, nmsrs, nr
  uint32_t flags;  // kvm_irq_routing; else padding
};
static_assert(sizeof(KvmTableHeader) == 8);

namespace table_call {
constexpr unsigned long kGetSupportedCpuid = _IOWR(KVMIO, 0x05, KvmTableHeader),
                        kSetGsiRouting = _IOW(KVMIO, 0x6A, KvmTableHeader),
                        kGetMsrs = _IOWR(KVMIO, 0x88, KvmTableHeader), kSetMsrs = _IOW(KVMIO, 0x89, KvmTableHeader),
                        kSetCpuid2 = _IOW(KVMIO, 0x90, KvmTableHeader);

// kvm_signal_mask: a length and the set.
constexpr unsigned long kSetSignalMask = _IOW(KVMIO, 0x8B, uint32_t);

// An XSAVE area, as far as it is not larger (KVM_GET_XSAVE2).
constexpr size_t kXsaveBytes = 4096;
using XsaveArea = uint8_t[kXsaveBytes];
constexpr unsigned long kGetXsave = _IOR(KVMIO, 0xA4, XsaveArea), kSetXsave = _IOW(KVMIO, 0xA5, XsaveArea),
                        kGetXsave2 = _IOR(KVMIO, 0xCF, XsaveArea);
}  // namespace table_call

// A header and the entries behind it.
template <typename Entry>
class KvmTable {
 public:
  // Room for `capacity` entries, all zero; the header says that there are none.
  explicit KvmTable(size_t capacity)
      : words_((sizeof(KvmTableHeader) + capacity * sizeof(Entry) + sizeof(uint64_t) - 1) / sizeof(uint64_t)) {}
  explicit KvmTable(std::span<const Entry> entries) : KvmTable(entries.size()) {
    header().count = static_cast<uint32_t>(entries.size());
    std::memcpy(this->entries(), entries.data(), entries.size_bytes());
  }

  KvmTableHeader& header() { return *reinterpret_cast<KvmTableHeader*>(words_.data()); }
  Entry* entries() { return reinterpret_cast<Entry*>(words_.data() + 1); }
  // As the argument of a call.
  void* get() { return words_.data(); }

 private:
  std::vector<uint64_t> words_;
};

}  // namespace calco::machine
