// Target avx512_gfni: AVX-512 where GFNI transposes 8 by 8 bits in one instruction.
#include "kernels.hpp"

// GCC's headers start from undefined registers on purpose and then warn about them (its bug
// 105593); the other targets compile the same kernels with the warnings on.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

#include <immintrin.h>
#include <string.h>

namespace mcodec {
namespace {

#define MC_TRANSPOSES
#include "avx512_lanes.hpp"

// Of eight bytes, the last first: bit i of byte 7 - k becomes bit k of byte i. The matrix is what
// is transposed; it multiplies one bit after another.
MC_INLINE u8v transpose8(u8v v) {
    const __m512i bits = _mm512_set1_epi64(static_cast<long long>(0x8040201008040201));
    return (u8v)_mm512_gf2p8affine_epi64_epi8(bits, (__m512i)v, 0);
}

#include "body.hpp"

}  // namespace

const Table avx512_gfni = table("avx512_gfni");

}  // namespace mcodec
