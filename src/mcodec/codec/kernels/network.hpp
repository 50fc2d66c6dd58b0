// Planes to bytes and back, a chunk of 8 kW elements at a time.
//
// Eight planes give eight vectors; bit i of byte j of vector k is bit k of element 8j + i. Three
// rounds of exchanges between vectors swap i and k, so that vector i holds, in byte j, all eight
// bits of element 8j + i. Zips by lanes then bring the bytes into order: vector v has in lane l the
// elements 128 l + 16 v to 128 l + 16 v + 15 of the chunk. Going back, the zips rotate on: four
// more rounds of byte zips and the same exchanges.

// Where part m of vector v lies in the chunk, if a part has `size` elements.
static constexpr size_t place(size_t v, size_t m, size_t size) {
    return 128 * (m * size / 16) + 16 * v + m * size % 16;
}

MC_INLINE void exchange(u8v& a, u8v& b, int shift, uint64_t mask) {
    const u64v x = (u64v)a, y = (u64v)b;
    const u64v differ = ((x >> shift) ^ y) & mask;
    a = (u8v)(x ^ (differ << shift));
    b = (u8v)(y ^ differ);
}

// Exchanges between the vectors whose numbers differ in bit `Step`.
template <int Step>
MC_INLINE void exchange_round(u8v (&p)[8], uint64_t mask) {
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
        if (!(r & Step)) exchange(p[r], p[r + Step], Step, mask);
    }
}

MC_INLINE void transpose_bits(u8v (&p)[8]) {
    exchange_round<1>(p, 0x5555555555555555);
    exchange_round<2>(p, 0x3333333333333333);
    exchange_round<4>(p, 0x0F0F0F0F0F0F0F0F);
}

template <int Bits>
MC_INLINE void zip_pair(u8v& a, u8v& b) {
    const u8v low = zip<Bits, false>(a, b);
    b = zip<Bits, true>(a, b);
    a = low;
}

// Zips the vectors whose numbers differ in bit `Step`.
template <int Bits, int Step>
MC_INLINE void zip_round(u8v (&p)[8]) {
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) {
        if (!(r & Step)) zip_pair<Bits>(p[r], p[r + Step]);
    }
}

#ifdef MC_TRANSPOSES
// Where a target has transpose8, zips put the bytes of one place in all planes side by side, and it
// does the rest. q[k] is plane 7 - k, as it wants them.
MC_INLINE void join_bits(u8v (&p)[8], u8v* bytes) {
    u8v q[8];
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) q[k] = p[7 - k];
    zip_round<8, 1>(q);
    zip_round<16, 2>(q);
    zip_round<32, 4>(q);
    constexpr int reversed[8] = {0, 4, 2, 6, 1, 5, 3, 7};
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) bytes[reversed[r]] = transpose8(q[r]);
}

// Indices of bytes by lanes: eights turned round, and the two eights of a lane zipped.
struct Turns {
    uint8_t reversed[kW], zipped[kW];
};
static constexpr Turns turns() {
    Turns made{};
    for (int i = 0; i < static_cast<int>(kW); ++i) {
        made.reversed[i] = static_cast<uint8_t>((i & 8) + 7 - (i & 7));
        made.zipped[i] = static_cast<uint8_t>((i & 1) * 8 + (i >> 1 & 7));
    }
    return made;
}
alignas(64) constexpr Turns kTurns = turns();

// The inverse: bit k to q[k]. Pairs of bytes of plane k are word k of a lane; three rounds of zips
// swap the numbers of words and vectors.
MC_INLINE void cut_bits(const u8v* bytes, u8v (&q)[8]) {
    const u8v reversed = load(kTurns.reversed), zipped = load(kTurns.zipped);
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) q[v] = shuffle(transpose8(shuffle(bytes[v], reversed)), zipped);
    zip_round<16, 4>(q);
    zip_round<16, 2>(q);
    zip_round<16, 1>(q);
}
#else
// p[k] has bit k of the chunk that `bytes` receives. p is overwritten.
MC_INLINE void join_bits(u8v (&p)[8], u8v* bytes) {
    transpose_bits(p);
    zip_round<8, 1>(p);
    zip_round<16, 2>(p);
    zip_round<32, 4>(p);
    constexpr int reversed[8] = {0, 4, 2, 6, 1, 5, 3, 7};
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) bytes[reversed[r]] = p[r];
}

// The inverse: bit k to q[k].
MC_INLINE void cut_bits(const u8v* bytes, u8v (&q)[8]) {
    u8v p[8];
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) p[v] = bytes[v];
    zip_round<8, 4>(p);
    zip_round<8, 2>(p);
    zip_round<8, 1>(p);
    zip_round<8, 4>(p);
#pragma GCC unroll 8
    for (int r = 0; r < 8; ++r) q[(r >> 2 & 1) | (r & 1) << 1 | (r & 2) << 1] = p[r];
    transpose_bits(q);
}
#endif

// planes[k], null for zeros, has bit k; `bytes` receives the chunk that begins at byte `at`.
static void join_planes(const uint8_t* const* planes, size_t at, u8v* bytes) {
    u8v p[8];
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) {
        p[k] = u8v{};
        if (planes[k]) {
            p[k] = load(planes[k] + at);
            __builtin_prefetch(planes[k] + at + kAhead);
        }
    }
    join_bits(p, bytes);
}

// The inverse; a null plane is not wanted.
static void cut_planes(const u8v* bytes, uint8_t* const* planes, size_t at) {
    u8v q[8];
    cut_bits(bytes, q);
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) {
        if (planes[k]) store(planes[k] + at, q[k]);
    }
}

// Bytes 0 to 3, from the least significant, of vector v to the chunk of 32-bit elements `out`.
MC_INLINE void put32(uint8_t* out, size_t v, u8v b0, u8v b1, u8v b2, u8v b3) {
    constexpr size_t size = kStoresLanes ? 4 : kW / 4;
    if (!kStoresLanes) {
        b0 = spread32(b0);
        b1 = spread32(b1);
        b2 = spread32(b2);
        b3 = spread32(b3);
    }
    zip_pair<8>(b0, b1);
    zip_pair<8>(b2, b3);
    zip_pair<16>(b0, b2);
    zip_pair<16>(b1, b3);
    const u8v parts[4] = {b0, b2, b1, b3};
#pragma GCC unroll 4
    for (size_t m = 0; m < 4; ++m) {
        uint8_t* to = out + 4 * place(v, m, size);
        if (kStoresLanes) {
            store_lanes32(to, parts[m]);
        } else {
            store(to, parts[m]);
        }
    }
}

// Four vectors of 32-bit elements to their bytes: the inverse of put32.
MC_INLINE void bytes_of(const u32v (&x)[4], u8v* b0, u8v* b1, u8v* b2, u8v* b3) {
    const u16v low = narrow32(x[0] & 0xFFFF, x[1] & 0xFFFF);
    const u16v low2 = narrow32(x[2] & 0xFFFF, x[3] & 0xFFFF);
    const u16v high = narrow32(x[0] >> 16, x[1] >> 16);
    const u16v high2 = narrow32(x[2] >> 16, x[3] >> 16);
    *b0 = gather32(narrow16(low & 0xFF, low2 & 0xFF));
    *b1 = gather32(narrow16(low >> 8, low2 >> 8));
    *b2 = gather32(narrow16(high & 0xFF, high2 & 0xFF));
    *b3 = gather32(narrow16(high >> 8, high2 >> 8));
}

MC_INLINE void get32(const uint8_t* in, size_t v, u8v (&b)[4]) {
    u32v x[4];
#pragma GCC unroll 4
    for (size_t m = 0; m < 4; ++m) x[m] = (u32v)load(in + 4 * place(v, m, kW / 4));
    bytes_of(x, &b[0], &b[1], &b[2], &b[3]);
}
