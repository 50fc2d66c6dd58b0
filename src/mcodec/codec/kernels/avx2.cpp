// Target avx2: AVX2, F16C and BMI2; 32-byte vectors.
#include "kernels.hpp"

#include <immintrin.h>
#include <string.h>

namespace mcodec {
namespace {

constexpr size_t kW = 32;
#include "lanes.hpp"
#include "bmi2.hpp"
#include "nibbles.hpp"
#include "places.hpp"

template <int Bits, bool High>
MC_INLINE u8v zip(u8v a, u8v b) {
    const __m256i x = (__m256i)a, y = (__m256i)b;
    if (Bits == 8) return (u8v)(High ? _mm256_unpackhi_epi8(x, y) : _mm256_unpacklo_epi8(x, y));
    if (Bits == 16) return (u8v)(High ? _mm256_unpackhi_epi16(x, y) : _mm256_unpacklo_epi16(x, y));
    return (u8v)(High ? _mm256_unpackhi_epi32(x, y) : _mm256_unpacklo_epi32(x, y));
}

MC_INLINE u16v narrow32(u32v a, u32v b) {
    return (u16v)_mm256_packus_epi32((__m256i)a, (__m256i)b);
}
MC_INLINE u8v narrow16(u16v a, u16v b) { return (u8v)_mm256_packus_epi16((__m256i)a, (__m256i)b); }

template <bool Odd>
MC_INLINE u32v halves32(u8v a, u8v b) {
    return (u32v)_mm256_shuffle_ps((__m256)a, (__m256)b, Odd ? 0xDD : 0x88);
}

MC_INLINE u8v spread32(u8v v) {
    const __m256i index = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    return (u8v)_mm256_permutevar8x32_epi32((__m256i)v, index);
}
MC_INLINE u8v gather32(u8v v) {
    const __m256i index = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    return (u8v)_mm256_permutevar8x32_epi32((__m256i)v, index);
}
MC_INLINE u8v spread64(u8v v) { return (u8v)_mm256_permute4x64_epi64((__m256i)v, 0xD8); }
MC_INLINE u8v gather64(u8v v) { return spread64(v); }

MC_INLINE u8v load_lanes(const uint8_t* p) {
    const __m128i* at = reinterpret_cast<const __m128i*>(p);
    return (u8v)_mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(at)),
                                        _mm_loadu_si128(at + 8), 1);
}
MC_INLINE void store_lanes(uint8_t* p, u8v v) {
    __m128i* at = reinterpret_cast<__m128i*>(p);
    _mm_storeu_si128(at, _mm256_castsi256_si128((__m256i)v));
    _mm_storeu_si128(at + 8, _mm256_extracti128_si256((__m256i)v, 1));
}

// Lanes of 32-bit elements, 128 of them apart: half stores are cheaper than moves between lanes.
constexpr bool kStoresLanes = true;
MC_INLINE void store_lanes32(uint8_t* p, u8v v) {
    __m128i* at = reinterpret_cast<__m128i*>(p);
    _mm_storeu_si128(at, _mm256_castsi256_si128((__m256i)v));
    _mm_storeu_si128(at + 32, _mm256_extracti128_si256((__m256i)v, 1));
}

MC_INLINE u8v load_words(const uint8_t* p) { return load(p); }
MC_INLINE void store_words(uint8_t* p, u8v v) { store(p, v); }

MC_INLINE f32v least(f32v a, f32v b) { return (f32v)_mm256_min_ps((__m256)a, (__m256)b); }
MC_INLINE i32v round_to_int(f32v a) { return (i32v)_mm256_cvtps_epi32((__m256)a); }

MC_INLINE u32v load8(const uint8_t* p) {
    return (u32v)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
MC_INLINE u32v load16(const uint8_t* p) {
    return (u32v)_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
MC_INLINE void store16(uint8_t* p, u32v v) {
    const __m128i low = _mm256_castsi256_si128((__m256i)v);
    const __m128i high = _mm256_extracti128_si256((__m256i)v, 1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_packus_epi32(low, high));
}
MC_INLINE f32v load_half(const uint8_t* p) {
    return (f32v)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
MC_INLINE void store_half(uint8_t* p, f32v v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                     _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT));
}

// Bytes: to higher places, by index, the top bit of each, and 16 from each of some addresses.
#define MC_SHUFFLES
template <int Count>
MC_INLINE u8v shift_up(u8v v) {
    return (u8v)_mm256_slli_si256((__m256i)v, Count);
}
MC_INLINE u8v shuffle(u8v v, u8v index) {
    return (u8v)_mm256_shuffle_epi8((__m256i)v, (__m256i)index);
}
MC_INLINE uint64_t tops(u8v v) { return static_cast<uint32_t>(_mm256_movemask_epi8((__m256i)v)); }
MC_INLINE u8v join_lanes(const uint8_t* const (&from)[2]) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[0]));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[1]));
    return (u8v)_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

MC_INLINE u32v running_sums(u32v v) {
    __m256i x = (__m256i)v;
    x = _mm256_add_epi32(x, _mm256_slli_si256(x, 4));
    x = _mm256_add_epi32(x, _mm256_slli_si256(x, 8));
    const __m256i low = _mm256_permute2x128_si256(x, x, 0x08);
    return (u32v)_mm256_add_epi32(x, _mm256_shuffle_epi32(low, 0xFF));
}

constexpr bool kCountsOnes = true;
MC_INLINE uint64_t ones(uint64_t word) { return _mm_popcnt_u64(word); }

// Some processors have BMI2 in microcode, many times slower than tables.
template <class F>
MC_INLINE void with_bits(F f) {
    if (fast_bmi2()) {
        f(Bmi2{});
    } else {
        f(Nibbles{});
    }
}

template <size_t Size>
constexpr size_t kGroup = Size == 8 ? 4 : 8;

// Moves elements as a row of a table says.
template <size_t Size>
MC_INLINE void move(const uint8_t* row, const uint8_t* in, uint8_t* out) {
    const __m128i places = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row));
    if (Size >= 4) {
        __m256i index = _mm256_cvtepi8_epi32(places);
        if (Size == 8) {  // two halves each
            const __m256i even = _mm256_slli_epi64(_mm256_cvtepi8_epi64(places), 1);
            const __m256i odd = _mm256_slli_epi64(_mm256_or_si256(even, _mm256_set1_epi64x(1)), 32);
            index = _mm256_blend_epi32(even, odd, 0xAA);
        }
        const __m256i moved = _mm256_permutevar8x32_epi32((__m256i)load(in), index);
        store(out, (u8v)_mm256_andnot_si256(_mm256_srai_epi32(index, 31), moved));
    } else if (Size == 2) {  // bytes 2p and 2p + 1
        const __m128i index =
            _mm_add_epi16(_mm_mullo_epi16(_mm_cvtepu8_epi16(places), _mm_set1_epi16(0x0202)),
                          _mm_set1_epi16(0x0100));
        const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(words, index));
    } else {
        const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(in));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(bytes, places));
    }
}

template <size_t Size>
MC_INLINE void expand(uint64_t chosen, const uint8_t* in, uint8_t* out) {
    move<Size>(kExpanding.row[chosen], in, out);
}
template <size_t Size>
MC_INLINE void compress(uint64_t chosen, const uint8_t* in, uint8_t* out) {
    move<Size>(kCompressing.row[chosen], in, out);
}

constexpr bool kStreams = true;
MC_INLINE void stream(uint8_t* p, u8v v) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(p), (__m256i)v);
}
MC_INLINE void stream_end() { _mm_sfence(); }

#include "body.hpp"

}  // namespace

const Table avx2 = table("avx2");

}  // namespace mcodec
