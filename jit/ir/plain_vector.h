// Vector instructions that say all they do by themselves: moves, and operations on integers and bits that every host
// has. A back end need not hand them to the host's own instruction.
#pragma once

#include <optional>

#include "jit/ir/host_vector.h"

namespace calco::jit::ir {

enum class VectorOperation { And, AndNot, Or, Xor, Add, Subtract, Equal, Greater };
struct ElementOperation {
  VectorOperation operation;
  unsigned bits;
};

inline std::optional<ElementOperation> element_operation(decode::Mnemonic mnemonic) {
  using decode::Mnemonic;
  switch (mnemonic) {
    case Mnemonic::Pand:
    case Mnemonic::Andps:
    case Mnemonic::Andpd:
    case Mnemonic::Vpand:
    case Mnemonic::Vandps:
    case Mnemonic::Vandpd:
      return ElementOperation{VectorOperation::And, 64};
    case Mnemonic::Pandn:
    case Mnemonic::Andnps:
    case Mnemonic::Andnpd:
    case Mnemonic::Vpandn:
    case Mnemonic::Vandnps:
    case Mnemonic::Vandnpd:
      return ElementOperation{VectorOperation::AndNot, 64};
    case Mnemonic::Por:
    case Mnemonic::Orps:
    case Mnemonic::Orpd:
    case Mnemonic::Vpor:
    case Mnemonic::Vorps:
    case Mnemonic::Vorpd:
      return ElementOperation{VectorOperation::Or, 64};
    case Mnemonic::Pxor:
    case Mnemonic::Xorps:
    case Mnemonic::Xorpd:
    case Mnemonic::Vpxor:
    case Mnemonic::Vxorps:
    case Mnemonic::Vxorpd:
      return ElementOperation{VectorOperation::Xor, 64};
    case Mnemonic::Paddb:
    case Mnemonic::Vpaddb:
      return ElementOperation{VectorOperation::Add, 8};
    case Mnemonic::Paddw:
    case Mnemonic::Vpaddw:
      return ElementOperation{VectorOperation::Add, 16};
    case Mnemonic::Paddd:
    case Mnemonic::Vpaddd:
      return ElementOperation{VectorOperation::Add, 32};
    case Mnemonic::Paddq:
    case Mnemonic::Vpaddq:
      return ElementOperation{VectorOperation::Add, 64};
    case Mnemonic::Psubb:
    case Mnemonic::Vpsubb:
      return ElementOperation{VectorOperation::Subtract, 8};
    case Mnemonic::Psubw:
    case Mnemonic::Vpsubw:
      return ElementOperation{VectorOperation::Subtract, 16};
    case Mnemonic::Psubd:
    case Mnemonic::Vpsubd:
      return ElementOperation{VectorOperation::Subtract, 32};
    case Mnemonic::Psubq:
    case Mnemonic::Vpsubq:
      return ElementOperation{VectorOperation::Subtract, 64};
    case Mnemonic::Pcmpeqb:
    case Mnemonic::Vpcmpeqb:
      return ElementOperation{VectorOperation::Equal, 8};
    case Mnemonic::Pcmpeqw:
    case Mnemonic::Vpcmpeqw:
      return ElementOperation{VectorOperation::Equal, 16};
    case Mnemonic::Pcmpeqd:
    case Mnemonic::Vpcmpeqd:
      return ElementOperation{VectorOperation::Equal, 32};
    case Mnemonic::Pcmpgtb:
    case Mnemonic::Vpcmpgtb:
      return ElementOperation{VectorOperation::Greater, 8};
    case Mnemonic::Pcmpgtw:
    case Mnemonic::Vpcmpgtw:
      return ElementOperation{VectorOperation::Greater, 16};
    case Mnemonic::Pcmpgtd:
    case Mnemonic::Vpcmpgtd:
      return ElementOperation{VectorOperation::Greater, 32};
    default:
      return std::nullopt;
  }
}

// Moves of whole vectors.
inline bool is_vector_move(decode::Mnemonic mnemonic) {
  using decode::Mnemonic;
  switch (mnemonic) {
    case Mnemonic::Movaps:
    case Mnemonic::Movapd:
    case Mnemonic::Movdqa:
    case Mnemonic::Movups:
    case Mnemonic::Movupd:
    case Mnemonic::Movdqu:
    case Mnemonic::Lddqu:
    case Mnemonic::Vmovaps:
    case Mnemonic::Vmovapd:
    case Mnemonic::Vmovdqa:
    case Mnemonic::Vmovups:
    case Mnemonic::Vmovupd:
    case Mnemonic::Vmovdqu:
    case Mnemonic::Vlddqu:
      return true;
    default:
      return false;
  }
}

// Moves of the lowest 4 or 8 bytes that clear the rest of a vector register.
inline bool is_scalar_move(decode::Mnemonic mnemonic) {
  using decode::Mnemonic;
  switch (mnemonic) {
    case Mnemonic::Movss:
    case Mnemonic::Movsd:
    case Mnemonic::Movd:
    case Mnemonic::Movq:
    case Mnemonic::Vmovss:
    case Mnemonic::Vmovsd:
    case Mnemonic::Vmovd:
    case Mnemonic::Vmovq:
      return true;
    default:
      return false;
  }
}

// Whether a back end without the host's vector instructions can have it.
inline bool is_plain(const HostVectorInstruction& vector) {
  if (element_operation(vector.mnemonic) || is_vector_move(vector.mnemonic)) return true;
  if (!is_scalar_move(vector.mnemonic)) return false;
  const bool between_vectors =
      vector.source == HostVectorInstruction::Source::Vector && !vector.reg_is_general && !vector.rm_is_general_result;
  return !between_vectors || vector.mnemonic == decode::Mnemonic::Movq || vector.mnemonic == decode::Mnemonic::Vmovq;
}

}  // namespace calco::jit::ir
