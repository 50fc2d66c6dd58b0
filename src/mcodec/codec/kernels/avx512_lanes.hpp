// What the targets of AVX-512 share: 64-byte vectors by F, BW, DQ and VL, and BMI2.

constexpr size_t kW = 64;
#include "lanes.hpp"
#include "bmi2.hpp"

template <int Bits, bool High>
MC_INLINE u8v zip(u8v a, u8v b) {
    const __m512i x = (__m512i)a, y = (__m512i)b;
    if (Bits == 8) return (u8v)(High ? _mm512_unpackhi_epi8(x, y) : _mm512_unpacklo_epi8(x, y));
    if (Bits == 16) return (u8v)(High ? _mm512_unpackhi_epi16(x, y) : _mm512_unpacklo_epi16(x, y));
    return (u8v)(High ? _mm512_unpackhi_epi32(x, y) : _mm512_unpacklo_epi32(x, y));
}

MC_INLINE u16v narrow32(u32v a, u32v b) {
    return (u16v)_mm512_packus_epi32((__m512i)a, (__m512i)b);
}
MC_INLINE u8v narrow16(u16v a, u16v b) { return (u8v)_mm512_packus_epi16((__m512i)a, (__m512i)b); }

template <bool Odd>
MC_INLINE u32v halves32(u8v a, u8v b) {
    return (u32v)_mm512_shuffle_ps((__m512)a, (__m512)b, Odd ? 0xDD : 0x88);
}

// A 4 by 4 transposition is its own inverse.
MC_INLINE u8v spread32(u8v v) {
    const __m512i index = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return (u8v)_mm512_permutexvar_epi32(index, (__m512i)v);
}
MC_INLINE u8v gather32(u8v v) { return spread32(v); }
MC_INLINE u8v spread64(u8v v) {
    const __m512i index = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    return (u8v)_mm512_permutexvar_epi64(index, (__m512i)v);
}
MC_INLINE u8v gather64(u8v v) {
    const __m512i index = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    return (u8v)_mm512_permutexvar_epi64(index, (__m512i)v);
}

MC_INLINE u8v load_lanes(const uint8_t* p) {
    const __m128i* at = reinterpret_cast<const __m128i*>(p);
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128(at));
    v = _mm512_inserti32x4(v, _mm_loadu_si128(at + 8), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128(at + 16), 2);
    return (u8v)_mm512_inserti32x4(v, _mm_loadu_si128(at + 24), 3);
}
MC_INLINE void store_lanes(uint8_t* p, u8v v) {
    __m128i* at = reinterpret_cast<__m128i*>(p);
    _mm_storeu_si128(at, _mm512_castsi512_si128((__m512i)v));
    _mm_storeu_si128(at + 8, _mm512_extracti32x4_epi32((__m512i)v, 1));
    _mm_storeu_si128(at + 16, _mm512_extracti32x4_epi32((__m512i)v, 2));
    _mm_storeu_si128(at + 24, _mm512_extracti32x4_epi32((__m512i)v, 3));
}

constexpr bool kStoresLanes = false;
MC_INLINE void store_lanes32(uint8_t* p, u8v v) { store(p, v); }

// Words of two chunks of 16 elements, which lie 128 elements apart.
MC_INLINE u8v load_words(const uint8_t* p) {
    const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 256));
    return (u8v)_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
MC_INLINE void store_words(uint8_t* p, u8v v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_castsi512_si256((__m512i)v));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 256),
                        _mm512_extracti64x4_epi64((__m512i)v, 1));
}

MC_INLINE f32v least(f32v a, f32v b) { return (f32v)_mm512_min_ps((__m512)a, (__m512)b); }
MC_INLINE i32v round_to_int(f32v a) { return (i32v)_mm512_cvtps_epi32((__m512)a); }

MC_INLINE u32v load8(const uint8_t* p) {
    return (u32v)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
MC_INLINE u32v load16(const uint8_t* p) {
    return (u32v)_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
MC_INLINE void store8(uint8_t* p, u32v v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8((__m512i)v));
}
MC_INLINE void store16(uint8_t* p, u32v v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16((__m512i)v));
}
MC_INLINE f32v load_half(const uint8_t* p) {
    return (f32v)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
MC_INLINE void store_half(uint8_t* p, f32v v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT));
}

// Bytes: to higher places, by index, the top bit of each, and 16 from each of some addresses.
#define MC_SHUFFLES
template <int Count>
MC_INLINE u8v shift_up(u8v v) {
    return (u8v)_mm512_bslli_epi128((__m512i)v, Count);
}
MC_INLINE u8v shuffle(u8v v, u8v index) {
    return (u8v)_mm512_shuffle_epi8((__m512i)v, (__m512i)index);
}
MC_INLINE uint64_t tops(u8v v) { return _mm512_movepi8_mask((__m512i)v); }
MC_INLINE u8v join_lanes(const uint8_t* const (&from)[4]) {
    const auto lane = [](const uint8_t* p) {
        return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    };
    __m512i v = _mm512_castsi128_si512(lane(from[0]));
    v = _mm512_inserti32x4(v, lane(from[1]), 1);
    v = _mm512_inserti32x4(v, lane(from[2]), 2);
    return (u8v)_mm512_inserti32x4(v, lane(from[3]), 3);
}

MC_INLINE u32v running_sums(u32v v) {
    const __m512i zeros = _mm512_setzero_si512();
    __m512i x = (__m512i)v;
    x = _mm512_add_epi32(x, _mm512_alignr_epi32(x, zeros, 15));
    x = _mm512_add_epi32(x, _mm512_alignr_epi32(x, zeros, 14));
    x = _mm512_add_epi32(x, _mm512_alignr_epi32(x, zeros, 12));
    return (u32v)_mm512_add_epi32(x, _mm512_alignr_epi32(x, zeros, 8));
}

constexpr bool kCountsOnes = true;
MC_INLINE uint64_t ones(uint64_t word) { return _mm_popcnt_u64(word); }
template <class F>
MC_INLINE void with_bits(F f) {
    f(Bmi2{});
}

// Bytes and words travel as 32-bit elements.
template <size_t Size>
constexpr size_t kGroup = Size == 8 ? 8 : 16;

template <size_t Size>
MC_INLINE void expand(uint64_t chosen, const uint8_t* in, uint8_t* out) {
    const __mmask16 mask = static_cast<__mmask16>(chosen);
    if (Size == 8) {
        store(out, (u8v)_mm512_maskz_expand_epi64(static_cast<__mmask8>(mask), (__m512i)load(in)));
    } else if (Size == 4) {
        store(out, (u8v)_mm512_maskz_expand_epi32(mask, (__m512i)load(in)));
    } else if (Size == 2) {
        store16(out, (u32v)_mm512_maskz_expand_epi32(mask, (__m512i)load16(in)));
    } else {
        store8(out, (u32v)_mm512_maskz_expand_epi32(mask, (__m512i)load8(in)));
    }
}

template <size_t Size>
MC_INLINE void compress(uint64_t chosen, const uint8_t* in, uint8_t* out) {
    const __mmask16 mask = static_cast<__mmask16>(chosen);
    if (Size == 8) {
        const __m512i v = (__m512i)load(in);
        store(out, (u8v)_mm512_maskz_compress_epi64(static_cast<__mmask8>(mask), v));
    } else if (Size == 4) {
        store(out, (u8v)_mm512_maskz_compress_epi32(mask, (__m512i)load(in)));
    } else if (Size == 2) {
        store16(out, (u32v)_mm512_maskz_compress_epi32(mask, (__m512i)load16(in)));
    } else {
        store8(out, (u32v)_mm512_maskz_compress_epi32(mask, (__m512i)load8(in)));
    }
}

constexpr bool kStreams = true;
MC_INLINE void stream(uint8_t* p, u8v v) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(p), (__m512i)v);
}
MC_INLINE void stream_end() { _mm_sfence(); }
