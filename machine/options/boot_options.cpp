// -fw_cfg, -boot, -rtc, -d, -name.
#include <ctime>

#include "machine/core/log.h"
#include "machine/core/option_error.h"
#include "machine/options/draft.h"
#include "machine/options/option_values.h"

namespace calco::machine {
namespace {

constexpr size_t kMaximumFileName = 55;  // of fw_cfg, without the terminating zero

// "2006-06-17" or "2006-06-17T16:01:21", UTC.
std::optional<int64_t> parse_date(const std::string& text) {
  std::tm date{};
  const char* end = strptime(text.c_str(), "%Y-%m-%d", &date);
  if (end != nullptr && *end == 'T') end = strptime(end + 1, "%H:%M:%S", &date);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return timegm(&date);
}

}  // namespace

void read_firmware_file(Draft& draft, const std::string& option, std::string_view value) {
  OptionList list(option, value, "name");
  const auto name = list.take("name");
  const auto file = list.take("file");
  const auto string = list.take("string");
  list.finish("name, file and string");
  if (!name || name->empty())
    throw OptionError(option, "name= is missing; for example name=opt/org.example,string=text");
  if (name->size() > kMaximumFileName) {
    throw OptionError(option, fmt::format("the name is longer than {} characters", kMaximumFileName));
  }
  if (file.has_value() == string.has_value()) {
    throw OptionError(option, "give either file= or string= for the contents");
  }
  draft.config.firmware_files.push_back({*name, file.value_or(""), string.value_or("")});
}

void read_boot(Draft& draft, const std::string& option, std::string_view value) {
  OptionList list(option, value, "order");
  BootOptions& boot = draft.config.boot;
  for (std::string_view key : {"order", "once"}) {
    const auto order = list.take(key);
    if (!order) continue;
    if (order->find_first_not_of("abcdefghijklmnop") != std::string::npos) {
      throw OptionError(option, fmt::format("{}='{}' is not a list of drive letters a to p", key, *order));
    }
    boot.order = *order;
  }
  if (const auto menu = list.take_switch("menu")) boot.menu = menu;
  if (const auto wait = list.take_number("splash-time", 0xFFFF)) boot.menu_wait = static_cast<uint16_t>(*wait);
  if (const auto timeout = list.take("reboot-timeout")) {
    const auto milliseconds = parse_number(*timeout);
    if (*timeout != "-1" && (!milliseconds || *milliseconds > 0xFFFF)) {
      throw OptionError(option, fmt::format("reboot-timeout='{}' is not a number from -1 to 65535", *timeout));
    }
    boot.reboot_timeout = milliseconds ? static_cast<int>(*milliseconds) : -1;
  }
  boot.strict = list.take_switch("strict").value_or(boot.strict);
  list.finish("order, once, menu, splash-time, reboot-timeout and strict");
}

void read_rtc(Draft& draft, const std::string& option, std::string_view value) {
  OptionList list(option, value);
  MachineConfig& config = draft.config;
  if (const auto base = list.take("base")) {
    if (*base == "utc") {
      config.rtc_base = RtcBase::Utc;
    } else if (*base == "localtime") {
      config.rtc_base = RtcBase::LocalTime;
    } else if (const auto start = parse_date(*base)) {
      config.rtc_base = RtcBase::Fixed;
      config.rtc_start = *start;
    } else {
      throw OptionError(option,
                        fmt::format("base='{}' is not a date; use utc, localtime or 2026-01-31T12:00:00", *base));
    }
  }
  const std::string clock = list.take("clock").value_or("host");
  if (clock != "host" && clock != "vm" && clock != "rt") {
    throw OptionError(option, fmt::format("clock='{}' is not known; use host, rt or vm", clock));
  }
  list.take("driftfix");
  list.finish("base, clock and driftfix");
}

void read_log_items(Draft& draft, const std::string& option, std::string_view value) {
  if (value == "help" || value == "?") {
    draft.answer =
        "Log items (comma separated):\n"
        "in_asm        guest code when it is first decoded\n"
        "op            each block as the translator's intermediate code\n"
        "op_opt        the same after the optimization passes\n"
        "out_asm       host code of each translation\n"
        "llvm          regions of the optimizing tier, and LLVM's code for them\n"
        "jit           statistics of translation at exit\n"
        "int           interrupts and exceptions\n"
        "exec          every block of guest code that is entered\n"
        "cpu           registers before every block\n"
        "cpu_reset     processor state at resets\n"
        "guest_errors  when the guest does what no sane driver does\n"
        "unimp         what the guest uses and Calco lacks\n"
        "accel         choice of the engine that runs guest code\n"
        "cosim         -accel jit: compare translated code with the interpreter, and stop where they disagree\n";
    return;
  }
  for (size_t begin = 0; begin <= value.size();) {
    const size_t end = std::min(value.find(',', begin), value.size());
    const std::string_view name = value.substr(begin, end - begin);
    const uint32_t item = Log::item_from_name(name);
    if (item == 0) throw OptionError(option, fmt::format("'{}' is no log item; '-d help' lists them", name));
    draft.config.log_items |= item;
    begin = end + 1;
  }
}

void read_name(Draft& draft, const std::string& option, std::string_view value) {
  OptionList list(option, value, "guest");
  draft.config.name = list.take("guest").value_or("");
  list.take("process");
  list.take("debug-threads");
  list.finish("guest, process and debug-threads");
}

void check_boot(const Draft& draft) {
  const MachineConfig& config = draft.config;
  if (!config.kernel.empty()) return;
  if (!config.initrd.empty()) throw OptionError("-initrd", "needs -kernel FILE");
  if (!config.command_line.empty()) throw OptionError("-append", "needs -kernel FILE");
}

}  // namespace calco::machine
