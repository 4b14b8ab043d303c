// Vector instructions as functions: type Xmm, the intrinsics' names for integer instructions, and in namespace host the
// floating-point instructions, which work under the MXCSR that host::load_mxcsr() sets for the calling thread.
#pragma once

#if defined(CALCO_PORTABLE_HOST)
#include "cpu/exec/vector/host_portable.h"
#else
#include "cpu/exec/vector/host_x86_64.h"
#endif
