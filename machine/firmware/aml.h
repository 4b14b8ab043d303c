// ACPI Machine Language, written as nested calls that read like ASL. Source: ACPI 6.4, chapter 20 (AML) and 6.4
// (resource descriptors).
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace calco::machine::aml {

// An encoded object or term.
using Term = std::vector<uint8_t>;
using Terms = std::vector<Term>;

// --- Data ----------------------------------------------------------------------------------------------------------
Term integer(uint64_t value);
Term string(std::string_view text);
Term buffer(const std::vector<uint8_t>& bytes);
Term package(const Terms& elements);
// "PNP0A03" as the compressed EISA identifier.
Term eisa_id(std::string_view id);

// --- Names ---------------------------------------------------------------------------------------------------------
// A path such as "\\_SB.PCI0", "^PRQA" or "LNKA"; segments of up to four characters.
Term path(std::string_view name);
Term local(unsigned index);
Term argument(unsigned index);
// A method call.
Term call(std::string_view method, const Terms& arguments);

// --- Declarations --------------------------------------------------------------------------------------------------
Term name(std::string_view name, const Term& value);
Term scope(std::string_view name, const Terms& body);
Term device(std::string_view name, const Terms& body);
enum class Serialization : uint8_t { No, Yes };
Term method(std::string_view name, unsigned arguments, Serialization serialization, const Terms& body);
// PCI configuration space of the device around it, from `offset`, as 8-bit fields named in order.
Term pci_config_bytes(std::string_view region, uint8_t offset, const std::vector<std::string_view>& fields);
// `field` becomes a name for 32 bits of `buffer` at byte `offset`.
Term create_dword_field(const Term& buffer, uint8_t offset, std::string_view field);

// --- Statements and expressions --------------------------------------------------------------------------------------
Term store(const Term& value, const Term& target);
Term bit_and(const Term& left, const Term& right);
Term bit_or(const Term& left, const Term& right);
Term less(const Term& left, const Term& right);
Term if_then(const Term& condition, const Terms& body);
Term return_value(const Term& value);

// --- Resources -----------------------------------------------------------------------------------------------------
// A buffer of resource descriptors with its end tag.
Term resource_template(const Terms& descriptors);
Term io_ports(uint16_t base, uint8_t length);
// Edge-triggered, active high, exclusive: ISA interrupt `irq`.
Term isa_interrupt(unsigned irq);
// Level-triggered, active high, shared: choices of a PCI interrupt link. The value of the first is at byte 5.
Term pci_interrupts(const std::vector<uint32_t>& choices);
Term fixed_memory(uint32_t base, uint32_t length, bool writable);
// Windows of a host bridge, first to last inclusive.
Term bus_range(uint16_t first, uint16_t last);
Term io_window(uint16_t first, uint16_t last);
Term memory_window(uint32_t first, uint32_t last, bool cacheable);

}  // namespace calco::machine::aml
