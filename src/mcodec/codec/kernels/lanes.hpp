// The vectors of a target, kW bytes each, in GCC's and Clang's vector types.
//
// Included by each target inside its anonymous namespace, after kW: so every function here has
// internal linkage, and the copy made with one target's instructions can serve no other target.

#define MC_FORCED inline __attribute__((always_inline))  // of members
#define MC_INLINE static MC_FORCED

typedef uint8_t u8v __attribute__((vector_size(kW)));
typedef uint16_t u16v __attribute__((vector_size(kW)));
typedef uint32_t u32v __attribute__((vector_size(kW)));
typedef int32_t i32v __attribute__((vector_size(kW)));
typedef uint64_t u64v __attribute__((vector_size(kW)));
typedef float f32v __attribute__((vector_size(kW)));

// A vector at any address, over memory of any type.
typedef u8v u8v_any __attribute__((aligned(1), may_alias));

MC_INLINE u8v load(const void* p) { return *static_cast<const u8v_any*>(p); }
MC_INLINE void store(void* p, u8v v) { *static_cast<u8v_any*>(p) = v; }

// Whether no bit is set.
MC_INLINE bool none(u8v v) {
    const u64v words = (u64v)v;
    uint64_t any = 0;
    for (size_t i = 0; i < kW / 8; ++i) any |= words[i];
    return any == 0;
}

template <class T>
MC_INLINE T get(const uint8_t* p, size_t i) {
    T value;
    memcpy(&value, p + i * sizeof(T), sizeof(T));
    return value;
}
template <class T>
MC_INLINE void put(uint8_t* p, size_t i, T value) {
    memcpy(p + i * sizeof(T), &value, sizeof(T));
}
template <class To, class From>
MC_INLINE To bits_as(From from) {
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    memcpy(&to, &from, sizeof(To));
    return to;
}

// Integers of some bytes.
template <size_t Size>
struct Unsigned;
template <>
struct Unsigned<1> {
    typedef uint8_t type;
};
template <>
struct Unsigned<2> {
    typedef uint16_t type;
};
template <>
struct Unsigned<4> {
    typedef uint32_t type;
};
template <>
struct Unsigned<8> {
    typedef uint64_t type;
};

// Elements that the networks handle at a time: one vector of each plane.
constexpr size_t kChunk = 8 * kW;

// How far ahead planes are fetched: more of them are read at a time than a processor follows alone.
constexpr size_t kAhead = 128;

// Outputs of this many bytes and more may go past the cache.
constexpr size_t kStreamFrom = size_t{1} << 18;
