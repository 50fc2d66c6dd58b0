// In place of the compiler's header: the instructions in C, by SIMDe, so that a machine without
// them runs the kernels as they are shipped. Below are those that SIMDe lacks.
#pragma once

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/gfni.h>

#include <cmath>
#include <cstdint>
#include <cstring>

typedef simde__mmask8 __mmask8;
typedef simde__mmask16 __mmask16;

template <class To, class From>
inline To emulated_as(const From& from) {
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

template <class T, class V>
struct EmulatedItems {
    T at[sizeof(V) / sizeof(T)];
    EmulatedItems() = default;
    explicit EmulatedItems(const V& v) { std::memcpy(at, &v, sizeof v); }
    V vector() const { return emulated_as<V>(at); }
};

template <class To, class Wide, class From, class Narrow>
inline To emulated_convert(const From& from) {
    const EmulatedItems<Narrow, From> in(from);
    EmulatedItems<Wide, To> out;
    for (size_t i = 0; i < sizeof(To) / sizeof(Wide); ++i) out.at[i] = static_cast<Wide>(in.at[i]);
    return out.vector();
}

#define _mm512_cvtepu8_epi32(v) emulated_convert<__m512i, uint32_t, __m128i, uint8_t>(v)
#define _mm512_cvtepu16_epi32(v) emulated_convert<__m512i, uint32_t, __m256i, uint16_t>(v)
#define _mm512_cvtepi32_epi8(v) emulated_convert<__m128i, uint8_t, __m512i, uint32_t>(v)
#define _mm512_cvtepi32_epi16(v) emulated_convert<__m256i, uint16_t, __m512i, uint32_t>(v)

template <int Count>
inline __m512i emulated_alignr(__m512i a, __m512i b) {
    const EmulatedItems<uint32_t, __m512i> high(a), low(b);
    EmulatedItems<uint32_t, __m512i> out;
    for (int i = 0; i < 16; ++i) {
        out.at[i] = i + Count < 16 ? low.at[i + Count] : high.at[i + Count - 16];
    }
    return out.vector();
}
#define _mm512_alignr_epi32(a, b, count) emulated_alignr<count>(a, b)

template <int Count>
inline __m512i emulated_bslli(__m512i v) {
    const EmulatedItems<uint8_t, __m512i> in(v);
    EmulatedItems<uint8_t, __m512i> out;
    for (int i = 0; i < 64; ++i) out.at[i] = i % 16 < Count ? 0 : in.at[i - Count];
    return out.vector();
}
#define _mm512_bslli_epi128(v, count) emulated_bslli<count>(v)

// Kernels round to nearest with ties to even, which is the mode that the driver runs in.
inline __m512i _mm512_cvtps_epi32(__m512 v) {
    const EmulatedItems<float, __m512> in(v);
    EmulatedItems<int32_t, __m512i> out;
    for (int i = 0; i < 16; ++i) out.at[i] = static_cast<int32_t>(std::nearbyint(in.at[i]));
    return out.vector();
}

inline __m512 _mm512_cvtph_ps(__m256i v) {
    const EmulatedItems<__m128i, __m256i> in(v);
    EmulatedItems<__m256, __m512> out;
    for (int i = 0; i < 2; ++i) out.at[i] = simde_mm256_cvtph_ps(in.at[i]);
    return out.vector();
}

// To nearest, ties to even, from finite numbers: SIMDe's rounds halves away from zero.
inline uint16_t emulated_half(float value) {
    const double size = std::fabs(static_cast<double>(value));
    const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    int exponent = 0;
    std::frexp(size, &exponent);
    const int last = (exponent - 1 < -14 ? -14 : exponent - 1) - 10;  // of the last place
    const double units = std::nearbyint(std::ldexp(size, -last));
    const int rounded = static_cast<int>(units) + ((last + 24) << 10);
    return static_cast<uint16_t>(sign | (size == 0.0 ? 0 : rounded > 0x7C00 ? 0x7C00 : rounded));
}

inline __m256i emulated_halves(__m512 v) {
    const EmulatedItems<float, __m512> in(v);
    EmulatedItems<uint16_t, __m256i> out;
    for (int i = 0; i < 16; ++i) out.at[i] = emulated_half(in.at[i]);
    return out.vector();
}
#define _mm512_cvtps_ph(v, rounding) emulated_halves(v)

template <class T>
inline __m512i emulated_expand(uint32_t mask, __m512i v) {
    const EmulatedItems<T, __m512i> in(v);
    EmulatedItems<T, __m512i> out;
    size_t rank = 0;
    for (size_t i = 0; i < 64 / sizeof(T); ++i) out.at[i] = mask >> i & 1 ? in.at[rank++] : 0;
    return out.vector();
}
inline __m512i _mm512_maskz_expand_epi32(__mmask16 mask, __m512i v) {
    return emulated_expand<uint32_t>(mask, v);
}
inline __m512i _mm512_maskz_expand_epi64(__mmask8 mask, __m512i v) {
    return emulated_expand<uint64_t>(mask, v);
}

inline void _mm512_stream_si512(__m512i* to, __m512i v) { *to = v; }  // faults if not aligned

inline long long _mm_popcnt_u64(unsigned long long word) { return __builtin_popcountll(word); }

inline unsigned long long _pdep_u64(unsigned long long bits, unsigned long long mask) {
    unsigned long long result = 0;
    for (int rank = 0; mask; mask &= mask - 1) {
        if (bits >> rank++ & 1) result |= mask & -mask;
    }
    return result;
}

inline unsigned long long _pext_u64(unsigned long long bits, unsigned long long mask) {
    unsigned long long result = 0;
    for (int rank = 0; mask; mask &= mask - 1) {
        result |= static_cast<unsigned long long>((bits & mask & -mask) != 0) << rank++;
    }
    return result;
}
