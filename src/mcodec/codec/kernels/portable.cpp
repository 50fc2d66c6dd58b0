// Target portable: 16-byte vectors in C++ alone, which every compiler maps to what its machine
// has. Where that is SSE2, its own words serve for what C++ has no good word for: narrowing, and
// stores past the cache.
#include "kernels.hpp"

#include <string.h>
#ifdef MCODEC_X86
#include <emmintrin.h>
#endif

namespace mcodec {
namespace {

constexpr size_t kW = 16;
#include "lanes.hpp"
#include "nibbles.hpp"
#include "one_lane.hpp"

template <int Bits, bool High>
MC_INLINE u8v zip(u8v a, u8v b) {
    if (Bits == 8) {
        return High ? __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                              14, 30, 15, 31)
                    : __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22,
                                              7, 23);
    }
    if (Bits == 16) {
        const u16v x = (u16v)a, y = (u16v)b;
        return (u8v)(High ? __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15)
                          : __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11));
    }
    const u32v x = (u32v)a, y = (u32v)b;
    return (u8v)(High ? __builtin_shufflevector(x, y, 2, 6, 3, 7)
                      : __builtin_shufflevector(x, y, 0, 4, 1, 5));
}

#ifdef MCODEC_X86
// SSE2 packs signed numbers only: from the sign-extended half no bit is lost.
MC_INLINE __m128i extended(u32v v) { return (__m128i)((i32v)(v << 16) >> 16); }
MC_INLINE u16v narrow32(u32v a, u32v b) { return (u16v)_mm_packs_epi32(extended(a), extended(b)); }
MC_INLINE u8v narrow16(u16v a, u16v b) { return (u8v)_mm_packus_epi16((__m128i)a, (__m128i)b); }
#else
MC_INLINE u16v narrow32(u32v a, u32v b) {
    return __builtin_shufflevector((u16v)a, (u16v)b, 0, 2, 4, 6, 8, 10, 12, 14);
}
MC_INLINE u8v narrow16(u16v a, u16v b) {
    return __builtin_shufflevector((u8v)a, (u8v)b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24,
                                   26, 28, 30);
}
#endif

template <bool Odd>
MC_INLINE u32v halves32(u8v a, u8v b) {
    return Odd ? __builtin_shufflevector((u32v)a, (u32v)b, 1, 3, 5, 7)
               : __builtin_shufflevector((u32v)a, (u32v)b, 0, 2, 4, 6);
}

MC_INLINE f32v least(f32v a, f32v b) { return a < b ? a : b; }

// 2^23 + a has no bits after the point; from 2^23 on, a has none itself.
MC_INLINE i32v round_to_int(f32v a) {
    const f32v big = f32v{} + 8388608.0f;
    const f32v rounded = a < big ? (a + big) - big : a;
    return __builtin_convertvector(rounded, i32v);
}

MC_INLINE u32v load8(const uint8_t* p) {
    const u32v bytes = {get<uint32_t>(p, 0), 0, 0, 0};
    return (u32v)zip<16, false>(zip<8, false>((u8v)bytes, u8v{}), u8v{});
}
MC_INLINE u32v load16(const uint8_t* p) {
    const u64v words = {get<uint64_t>(p, 0), 0};
    return (u32v)zip<16, false>((u8v)words, u8v{});
}
MC_INLINE void store16(uint8_t* p, u32v v) {
    const u16v words = narrow32(v, v);
    memcpy(p, &words, 8);
}

// Shifted into float32's place, a float16 is 2^112 too small.
MC_INLINE f32v load_half(const uint8_t* p) {
    const u32v h = load16(p);
    const f32v magnitude = (f32v)((h & 0x7FFF) << 13) * 5192296858534827628530496329220096.0f;
    return (f32v)((u32v)magnitude | (h & 0x8000) << 16);
}

// |v| is at most 65504. Below 2^-14 the sum with 0.5 rounds at float16's last place.
MC_INLINE void store_half(uint8_t* p, f32v v) {
    const u32v bits = (u32v)v & 0x7FFFFFFF;
    const u32v normal = (bits - (112u << 23) + 0xFFF + (bits >> 13 & 1)) >> 13;
    const u32v tiny = (u32v)((f32v)bits + 0.5f) - 0x3F000000;
    const u32v magnitude = bits < (113u << 23) ? tiny : normal;
    store16(p, magnitude | ((u32v)v >> 16 & 0x8000));
}

MC_INLINE u32v running_sums(u32v v) {
    v += __builtin_shufflevector(u32v{}, v, 3, 4, 5, 6);
    return v + __builtin_shufflevector(u32v{}, v, 2, 3, 4, 5);
}

constexpr bool kCountsOnes = false;
MC_INLINE uint64_t ones(uint64_t word) {
    word -= word >> 1 & 0x5555555555555555;
    word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
    return ((word + (word >> 4)) & 0x0F0F0F0F0F0F0F0F) * 0x0101010101010101 >> 56;
}

template <class F>
MC_INLINE void with_bits(F f) {
    f(Nibbles{});
}

template <size_t Size>
constexpr size_t kGroup = 8;

// One element at a time, and no branches.
template <size_t Size>
MC_INLINE void expand(uint64_t chosen, const uint8_t* in, uint8_t* out) {
    typedef typename Unsigned<Size>::type T;
    for (size_t i = 0; i < 8; ++i) {
        const uint64_t bit = chosen >> i & 1;
        put<T>(out, i, static_cast<T>(get<T>(in, 0) & (0 - bit)));
        in += bit * Size;
    }
}
template <size_t Size>
MC_INLINE void compress(uint64_t chosen, const uint8_t* in, uint8_t* out) {
    typedef typename Unsigned<Size>::type T;
    for (size_t i = 0; i < 8; ++i) {
        put<T>(out, 0, get<T>(in, i));
        out += (chosen >> i & 1) * Size;
    }
}

#ifdef MCODEC_X86
constexpr bool kStreams = true;
MC_INLINE void stream(uint8_t* p, u8v v) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(p), (__m128i)v);
}
MC_INLINE void stream_end() { _mm_sfence(); }
#else
constexpr bool kStreams = false;
MC_INLINE void stream(uint8_t* p, u8v v) { store(p, v); }
MC_INLINE void stream_end() {}
#endif

#include "body.hpp"

}  // namespace

const Table portable = table("portable");

}  // namespace mcodec
