// Target avx512: F, BW, DQ and VL, and BMI2.
#include "kernels.hpp"

// GCC's headers start from undefined registers on purpose and then warn about them (its bug
// 105593); the other targets compile the same kernels with the warnings on.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#include <immintrin.h>
#include <string.h>

namespace mcodec {
namespace {

#include "avx512_lanes.hpp"

#include "body.hpp"

}  // namespace

const Table avx512 = table("avx512");

}  // namespace mcodec
