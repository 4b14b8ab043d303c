#include "machine/current_processor.h"

namespace calco::machine {
namespace {

thread_local std::optional<unsigned> processor_of_this_thread;

}  // namespace

std::optional<unsigned> current_processor() { return processor_of_this_thread; }

CurrentProcessorScope::CurrentProcessorScope(unsigned index) { processor_of_this_thread = index; }
CurrentProcessorScope::~CurrentProcessorScope() { processor_of_this_thread.reset(); }

}  // namespace calco::machine
