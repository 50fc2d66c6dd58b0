// XXH3-64, compiled in (third_party/README.md).
#pragma once

#define XXH_INLINE_ALL
#include <xxhash.h>
