// How code that may be executing is changed: what its beginning does, and where its links lead. Each host has its own
// way. What changes is one aligned word, written at once. The translator's lock is held.
#pragma once

#include "jit/runtime/code_cache.h"
#include "jit/runtime/translation.h"

namespace calco::jit {

// Behind the making of a translation: remembers of its code what is needed to change it and back.
void note_code(CodeCache& code, Translation& translation);
// Whoever enters the translation leaves to the dispatch loop.
void cut_entry(CodeCache& code, Translation& translation);
// Whoever enters it goes on to `better`, or to its own code again (null).
void redirect_entry(CodeCache& code, Translation& translation, const void* better);
// Another entry for the code of a translation whose entry was cut, executable; null where the cache is full.
const void* new_entry(CodeCache& code, Translation& cut);
// Lets a link lead to `target`.
void set_target(CodeCache& code, Link& link, const uint8_t* target);

}  // namespace calco::jit
