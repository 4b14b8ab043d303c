#include "tests/oracle/excluded_rows.h"

namespace calco::oracle {

using decode::Mnemonic;
namespace attribute = decode::attribute;

const char* reason_for_exclusion(const decode::Row& row, const decode::FeatureSet& features) {
  if (!features.test(static_cast<size_t>(row.feature))) return "the model does not offer it";
  if (row.has(attribute::kNondeterministic)) return "result depends on time, chance or the CPU model";
  switch (row.mnemonic) {
    case Mnemonic::Syscall:
    case Mnemonic::Sysenter:
      return "enters the host's kernel";
    case Mnemonic::Vmcall:
    case Mnemonic::Vmmcall:
      return "enters the host's hypervisor";
    case Mnemonic::Sgdt:
    case Mnemonic::Sidt:
    case Mnemonic::Sldt:
    case Mnemonic::Str:
    case Mnemonic::Smsw:
      return "UMIP: the host's kernel makes up an answer";
    case Mnemonic::Monitor:
    case Mnemonic::Mwait:
    case Mnemonic::Invlpga:
    case Mnemonic::Skinit:
    case Mnemonic::Vmrun:
    case Mnemonic::Vmload:
    case Mnemonic::Vmsave:
    case Mnemonic::Stgi:
    case Mnemonic::Clgi:
      return "a hypervisor may take it";
    case Mnemonic::Xgetbv:
    case Mnemonic::Xsetbv:
      return "the host's XCR0 has more components";
    case Mnemonic::Int1:
      return "under a hypervisor the saved RIP is the instruction's own";
    case Mnemonic::Tpause:
    case Mnemonic::Umonitor:
    case Mnemonic::Umwait:
      return "the host has no WAITPKG";
    default:
      return nullptr;
  }
}

}  // namespace calco::oracle
