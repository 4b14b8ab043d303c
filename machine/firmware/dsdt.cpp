#include "machine/firmware/dsdt.h"

#include <fmt/format.h>

#include <array>
#include <string>

#include "devices/pci/piix3.h"
#include "machine/firmware/aml.h"

namespace calco::machine {
namespace {

using namespace aml;  // the whole file is written in it

constexpr unsigned kPciSlots = 32;
constexpr unsigned kPciPins = 4;
constexpr unsigned kPowerManagementSlot = 1;
constexpr std::array<std::string_view, 4> kLinks = {"LNKA", "LNKB", "LNKC", "LNKD"};
constexpr std::array<std::string_view, 4> kRouteRegisters = {"PRQA", "PRQB", "PRQC", "PRQD"};

// _PRT: which interrupt link each slot's pin is wired to. The power management function, whose interrupt is the SCI,
// has a link of its own.
Term interrupt_routing() {
  Terms entries;
  for (unsigned slot = 0; slot < kPciSlots; ++slot) {
    for (unsigned pin = 0; pin < kPciPins; ++pin) {
      const bool sci = slot == kPowerManagementSlot && pin == 0;
      const std::string_view link = sci ? "LNKS" : kLinks[devices::Piix3::pirq_of(slot, pin + 1)];
      entries.push_back(package({integer(slot << 16 | 0xFFFF), integer(pin), path(link), integer(0)}));
    }
  }
  return package(entries);
}

Term host_bridge_resources(const Platform& platform) {
  return resource_template({
      bus_range(0, 0xFF),
      io_ports(0xCF8, 8),
      io_window(0, 0xCF7),
      io_window(0xD00, 0xFFFF),
      memory_window(0xA0000, 0xBFFFF, true),
      memory_window(static_cast<uint32_t>(platform.memory.low), board::kPciHoleLast, false),
  });
}

Term plain_device(std::string_view device_name, std::string_view id, const Terms& resources) {
  return device(device_name, {name("_HID", eisa_id(id)), name("_CRS", resource_template(resources))});
}

Term serial_port(unsigned number) {
  const SerialPortPlace place = serial_port_place(number);
  return device(fmt::format("COM{}", number),
                {name("_HID", eisa_id("PNP0501")), name("_UID", integer(number)),
                 name("_CRS", resource_template({io_ports(place.port, 8), isa_interrupt(place.irq)}))});
}

// The PIIX3 with what hangs on its ISA bus. PRQA to PRQD are its PIRQ route control registers (82371SB, 2.2.4).
Term isa_bridge(const Platform& platform) {
  Terms body = {
      name("_ADR", integer(0x00010000)),
      pci_config_bytes("PRQR", 0x60, {kRouteRegisters.begin(), kRouteRegisters.end()}),
      plain_device("KBD", "PNP0303", {io_ports(0x60, 1), io_ports(0x64, 1), isa_interrupt(1)}),
      plain_device("MOU", "PNP0F13", {isa_interrupt(12)}),
      plain_device("RTC", "PNP0B00", {io_ports(0x70, 8), isa_interrupt(8)}),
  };
  for (unsigned number : platform.serial_ports) body.push_back(serial_port(number));
  return device("ISA", body);
}

Term host_bridge(const Platform& platform) {
  return device("PCI0", {
                            name("_HID", eisa_id("PNP0A03")),
                            name("_UID", integer(0)),
                            name("_CRS", host_bridge_resources(platform)),
                            name("_PRT", interrupt_routing()),
                            isa_bridge(platform),
                        });
}

// Bit 7 of a route register switches the link off; the low bits are the ISA interrupt.
constexpr uint8_t kRouteDisabled = 0x80;

// PIRS: _STA of a link from its register. PIRC: _CRS from the same.
Terms link_helpers() {
  return {
      method("PIRS", 1, Serialization::No,
             {if_then(bit_and(argument(0), integer(kRouteDisabled)), {return_value(integer(0x09))}),
              return_value(integer(0x0B))}),
      method("PIRC", 1, Serialization::Yes,
             {name("BUF", resource_template({pci_interrupts({0})})), create_dword_field(path("BUF"), 5, "IRQ"),
              if_then(less(argument(0), integer(kRouteDisabled)), {store(argument(0), path("IRQ"))}),
              return_value(path("BUF"))}),
  };
}

Term interrupt_link(unsigned index) {
  const Term route = path(fmt::format("\\_SB.PCI0.ISA.{}", kRouteRegisters[index]));
  return device(
      kLinks[index],
      {
          name("_HID", eisa_id("PNP0C0F")),
          name("_UID", integer(index)),
          name("_PRS", resource_template({pci_interrupts({5, 10, 11})})),
          method("_STA", 0, Serialization::No, {return_value(call("PIRS", {route}))}),
          method("_DIS", 0, Serialization::No, {store(bit_or(route, integer(kRouteDisabled)), route)}),
          method("_CRS", 0, Serialization::No, {return_value(call("PIRC", {route}))}),
          method("_SRS", 1, Serialization::No, {create_dword_field(argument(0), 5, "IRQ"), store(path("IRQ"), route)}),
      });
}

// The SCI's link cannot be set.
Term system_control_link() {
  const Term fixed = resource_template({pci_interrupts({board::kSciInterrupt})});
  return device("LNKS", {
                            name("_HID", eisa_id("PNP0C0F")),
                            name("_UID", integer(kLinks.size())),
                            name("_PRS", fixed),
                            name("_CRS", fixed),
                            method("_STA", 0, Serialization::No, {return_value(integer(0x0B))}),
                            method("_DIS", 0, Serialization::No, {}),
                            method("_SRS", 1, Serialization::No, {}),
                        });
}

Term hpet() {
  return device("HPET", {name("_HID", eisa_id("PNP0103")), name("_UID", integer(0)),
                         name("_CRS", resource_template({fixed_memory(board::kHpet, 0x400, false)}))});
}

// QEMU0002 is the identifier of the firmware configuration device.
Term firmware_configuration() {
  return device("FWCF", {name("_HID", string("QEMU0002")), name("_STA", integer(0x0B)),
                         name("_CRS", resource_template({io_ports(0x510, 0x0C)}))});
}

Term processor(unsigned index) {
  return device(fmt::format("C{:03X}", index), {name("_HID", string("ACPI0007")), name("_UID", integer(index))});
}

}  // namespace

std::vector<uint8_t> build_dsdt_body(const Platform& platform) {
  Terms system_bus = {host_bridge(platform), firmware_configuration()};
  if (platform.hpet) system_bus.push_back(hpet());
  for (const Term& helper : link_helpers()) system_bus.push_back(helper);
  for (unsigned index = 0; index < kLinks.size(); ++index) system_bus.push_back(interrupt_link(index));
  system_bus.push_back(system_control_link());
  for (unsigned index = 0; index < platform.apic_ids.size(); ++index) system_bus.push_back(processor(index));

  std::vector<uint8_t> body = scope("\\_SB", system_bus);
  // Sleep type 0 powers the PIIX4 off; S3 and S4 are not offered.
  const Term power_off = name("\\_S5", package({integer(0), integer(0), integer(0), integer(0)}));
  body.insert(body.end(), power_off.begin(), power_off.end());
  return body;
}

}  // namespace calco::machine
