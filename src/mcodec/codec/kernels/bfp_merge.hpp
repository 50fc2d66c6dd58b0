// merge_bfp: planes to integers in a chunk of uint32, the sign in bit 31, and those to numbers.

// What integers M' are made of: planes, by bit, in groups of eight with the sign in the last bit;
// and bytes of the bits above the planes, if there are such.
struct Parts {
    const uint8_t* planes[32] = {};
    const uint8_t* symbols = nullptr;
    int below = 0;  // bits of the group with the sign that are below the symbol
    int groups = 1;

    explicit Parts(const MergeBfp& job) : symbols(job.symbols) {
        const int own = job.count - job.above();
        for (int i = 0; i < own; ++i) planes[own - 1 - i] = job.planes[i];
        planes[8 * (own / 8) + 7] = job.sign;
        below = own % 8;
        groups = own / 8 + (symbols ? 2 : 1);
    }

    template <class Visit>
    void inputs(Visit visit) {
        for (const uint8_t*& plane : planes) {
            if (plane) visit(plane, kW);
        }
        if (symbols) visit(symbols, kChunk);
    }
};

// Puts symbols between the low bits and the sign of a group; what does not fit goes into the next.
MC_INLINE void add_symbols(const Parts& parts, size_t from, u8v (&low)[8], u8v (&high)[8]) {
    const int shift = parts.below;
    const auto ones = static_cast<uint8_t>((1 << shift) - 1);
    const u8v kept = u8v{} + ones;
    fetch_ahead(parts.symbols + from, kChunk);
#pragma GCC unroll 8
    for (size_t v = 0; v < 8; ++v) {
        const u8v symbol = load_lanes(parts.symbols + from + 16 * v);
        const u8v above = (u8v)((u16v)symbol >> (8 - shift)) & kept;
        high[v] = above | (low[v] & 0x80);
        low[v] = (low[v] & kept) | ((u8v)((u16v)symbol << shift) & ~kept);
    }
}

// The bytes of a chunk of integers, the sign in the highest bit of the last.
template <int Groups>
MC_INLINE void join_groups(const Parts& parts, size_t from, u8v (&g)[Groups][8]) {
    for (int i = 0; i < Groups - 1; ++i) join_planes(parts.planes + 8 * i, from / 8, g[i]);
    if (Groups == 1 || !parts.symbols) {
        join_planes(parts.planes + 8 * (Groups - 1), from / 8, g[Groups - 1]);
    } else {
        add_symbols(parts, from, g[Groups == 1 ? 0 : Groups - 2], g[Groups - 1]);
    }
}

// A chunk of integers M', the sign in bit 31.
template <int Groups>
static void join_integers(const Parts& parts, size_t from, uint32_t* tile) {
    constexpr int last = Groups - 1;
    u8v g[Groups][8];
    join_groups(parts, from, g);
    uint8_t* out = reinterpret_cast<uint8_t*>(tile);
    for (size_t v = 0; v < 8; ++v) {
        u8v b[4] = {};
#pragma GCC unroll 4
        for (int i = 0; i < Groups; ++i) b[i] = g[i][v];
        const u8v sign = b[last] & 0x80;
        b[last] &= 0x7F;
        b[3] |= sign;
        put32(out, v, b[0], b[1], b[2], b[3]);
    }
}

static void join_integers(const Parts& parts, size_t from, uint32_t* tile) {
    switch (parts.groups) {
        case 1: return join_integers<1>(parts, from, tile);
        case 2: return join_integers<2>(parts, from, tile);
        case 3: return join_integers<3>(parts, from, tile);
        default: return join_integers<4>(parts, from, tile);
    }
}

// 2 M' + 1 for M' other than 0.
static void to_middle(uint32_t* tile) {
    for (size_t i = 0; i < kChunk; ++i) {
        const uint32_t magnitude = tile[i] & 0x7FFFFFFF;
        tile[i] = (tile[i] & 0x80000000) | (2 * magnitude + (magnitude != 0));
    }
}

// Element i of a chunk: a product that is exact, or too large, in float32, rounded once into 16
// bits.
template <Dtype D>
MC_INLINE void put_float(f32v product, u32v sign, uint8_t* out, size_t i) {
    const f32v largest = f32v{} + static_cast<float>(Number<D>::largest);
    const u32v bits = (u32v)least(product, largest) | sign;
    if (D == Dtype::float16) {
        store_half(out + 2 * i, (f32v)bits);
    } else if (D == Dtype::bfloat16) {
        store16(out + 2 * i, (bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    } else {
        store(out + 4 * i, (u8v)bits);
    }
}

// The same for a part of a vector: with `Lanes` its lanes lie apart.
template <Dtype D, bool Lanes>
MC_INLINE void put_part(f32v product, u32v sign, uint8_t* out, size_t i) {
    if (!Lanes) return put_float<D>(product, sign, out, i);
    const f32v largest = f32v{} + static_cast<float>(Number<D>::largest);
    store_lanes32(out + 4 * i, (u8v)((u32v)least(product, largest) | sign));
}

// Numbers under one factor straight from the networks, with integers in registers only: the bytes
// of an integer lie in its `Groups` bytes, its sign in the highest bit of the last.
template <int Groups, bool Mid>
struct Integers {
    static constexpr uint32_t sign = 1u << (8 * Groups - 1);

    // The magnitude as a float; 2 M' + 1 for M' other than 0 in the middle.
    static MC_FORCED f32v magnitude(u32v x) {
        u32v m = x & (sign - 1);
        if (Mid) m += m - (u32v)(m != 0);
        return __builtin_convertvector((i32v)m, f32v);
    }

    static MC_FORCED u32v sign_of(u32v x) { return x << (32 - 8 * Groups) & 0x80000000; }

    // The low or high half of each lane of 16-bit words, of which one has `low` and `high` parts.
    template <bool High>
    static MC_FORCED u32v widen(u8v low, u8v high) {
        return (u32v)zip<16, High>(low, Groups > 2 ? high : u8v{});
    }
};

// The upper halves are the numbers.
MC_INLINE u32v rounded_brain(f32v product) {
    const f32v largest = f32v{} + static_cast<float>(Number<Dtype::bfloat16>::largest);
    const u32v bits = (u32v)least(product, largest);
    return bits + 0x7FFF + (bits >> 16 & 1);
}

// Patterns of bfloat16 from the 16-bit words of integers.
template <int Groups, bool Mid>
MC_INLINE u16v brains_of(u8v low, u8v high, f32v factor) {
    using I = Integers<Groups, Mid>;
    if (Groups > 2) {
        const u32v x = I::template widen<false>(low, high), y = I::template widen<true>(low, high);
        const u16v numbers = narrow32(rounded_brain(I::magnitude(x) * factor) >> 16,
                                      rounded_brain(I::magnitude(y) * factor) >> 16);
        return numbers | ((u16v)high << (32 - 8 * Groups) & 0x8000);
    }
    const u32v even = rounded_brain(I::magnitude((u32v)low) * factor);
    const u32v odd = rounded_brain(I::magnitude((u32v)low >> 16) * factor);
    const u16v numbers = (u16v)(even >> 16 | (odd & 0xFFFF0000));
    return numbers | ((u16v)low << (16 - 8 * Groups) & 0x8000);
}

// Vector v of the chunk `out` from the bytes of its integers.
template <Dtype D, int Groups, bool Mid>
MC_INLINE void put_numbers(uint8_t* out, size_t v, u8v (&b)[4], f32v factor) {
    using I = Integers<Groups, Mid>;
    constexpr bool lanes = D == Dtype::float32 && kStoresLanes;
    constexpr size_t size = lanes ? 4 : kW / 4;
#pragma GCC unroll 4
    for (int i = 0; i < Groups; ++i) {
        if (D == Dtype::bfloat16) {
            b[i] = spread64(b[i]);
        } else if (!lanes) {
            b[i] = spread32(b[i]);
        }
    }
    zip_pair<8>(b[0], b[1]);
    if (Groups > 2) zip_pair<8>(b[2], b[3]);
    if (D == Dtype::bfloat16) {
        store_words(out + 2 * place(v, 0, kW / 2), (u8v)brains_of<Groups, Mid>(b[0], b[2], factor));
        store_words(out + 2 * place(v, 1, kW / 2), (u8v)brains_of<Groups, Mid>(b[1], b[3], factor));
        return;
    }
    const u32v parts[4] = {
        I::template widen<false>(b[0], b[2]), I::template widen<true>(b[0], b[2]),
        I::template widen<false>(b[1], b[3]), I::template widen<true>(b[1], b[3])};
#pragma GCC unroll 4
    for (size_t m = 0; m < 4; ++m) {
        put_part<D, lanes>(I::magnitude(parts[m]) * factor, I::sign_of(parts[m]), out,
                           place(v, m, size));
    }
}

template <Dtype D, int Groups, bool Mid>
static void join_scaled(const Parts& parts, size_t from, float factor, uint8_t* out) {
    u8v g[Groups][8];
    join_groups(parts, from, g);
    const f32v factors = f32v{} + factor;
    for (size_t v = 0; v < 8; ++v) {
        u8v b[4] = {};
#pragma GCC unroll 4
        for (int i = 0; i < Groups; ++i) b[i] = g[i][v];
        put_numbers<D, Groups, Mid>(out, v, b, factors);
    }
}

template <Dtype D, bool Mid>
static void join_scaled(const Parts& parts, size_t from, float factor, uint8_t* out) {
    switch (parts.groups) {
        case 1: return join_scaled<D, 1, Mid>(parts, from, factor, out);
        case 2: return join_scaled<D, 2, Mid>(parts, from, factor, out);
        case 3: return join_scaled<D, 3, Mid>(parts, from, factor, out);
        default: return join_scaled<D, 4, Mid>(parts, from, factor, out);
    }
}

// A factor each.
template <Dtype D>
static void scale_floats(const uint32_t* tile, const float* factors, uint8_t* out) {
    for (size_t i = 0; i < kChunk; i += kW / 4) {
        const u32v x = (u32v)load(tile + i);
        const f32v scale = (f32v)load(factors + i);
        const f32v product = __builtin_convertvector((i32v)(x & 0x7FFFFFFF), f32v) * scale;
        put_float<D>(product, x & 0x80000000, out, i);
    }
}

// Anything else. With a step the product is rounded to a finite float32, then into the dtype.
template <Dtype D>
static void scale_doubles(const uint32_t* tile, bool step, const double* first,
                          const double* second, uint8_t* out) {
    typedef typename Number<D>::pattern pattern;
    constexpr double largest = Number<D>::largest, single = Number<Dtype::float32>::largest;
    for (size_t i = 0; i < kChunk; ++i) {
        double v = static_cast<double>(static_cast<int32_t>(tile[i] & 0x7FFFFFFF));
        v = v * first[i] * second[i];
        if (step) v = static_cast<double>(static_cast<float>(v < single ? v : single));
        v = v < largest ? v : largest;
        const pattern sign = static_cast<pattern>(tile[i] >> 31);
        put<pattern>(out, i, static_cast<pattern>(from_double<D>(v) | sign << Signs<D>::shift));
    }
}

template <Dtype D>
struct MergeIntegers {
    static constexpr bool kStream = true;
    Parts parts;
    bool mid;
    Scaling scaling;
    double step;

    explicit MergeIntegers(const MergeBfp& job)
        : parts(job), mid(job.mid), scaling{job.scale, 1, -job.count - job.mid, true, false, 0.0f} {
        scaling.prepare(job.n);
        if (!job.scale.exponents) {
            step = job.scale.step * power_of_two(job.bits - job.count - mid);
            scaling.exact = step >= 0x1p-126 && step <= Number<Dtype::float32>::largest;
            scaling.factor = scaling.exact ? static_cast<float>(step) : 0.0f;
        }
        if (D == Dtype::float64) scaling.exact = false;
    }

    template <class Visit>
    void inputs(Visit visit) {
        parts.inputs(visit);
    }

    void chunk(size_t at, size_t from, size_t count, uint8_t* out) const {
        if constexpr (D != Dtype::float64) {
            float factor = scaling.factor;
            if (scaling.exact && (scaling.uniform || scaling.shared(at, count, &factor))) {
                return mid ? join_scaled<D, true>(parts, from, factor, out)
                           : join_scaled<D, false>(parts, from, factor, out);
            }
        }
        alignas(64) uint32_t tile[kChunk];
        join_integers(parts, from, tile);
        if (mid) to_middle(tile);
        if (!scaling.exact) return general(tile, at, count, out);
        alignas(64) float factors[kChunk];
        scaling.fill_floats(at, count, factors);
        scale_floats<D>(tile, factors, out);
    }

    void general(const uint32_t* tile, size_t at, size_t count, uint8_t* out) const {
        alignas(64) double first[kChunk], second[kChunk];
        if (scaling.source.exponents) {
            scaling.fill_doubles(at, count, first, second);
        } else {
            for (size_t i = 0; i < kChunk; ++i) {
                first[i] = step;
                second[i] = 1.0;
            }
        }
        scale_doubles<D>(tile, !scaling.source.exponents, first, second, out);
    }
};

template <Dtype D>
static void merge_integers(const MergeBfp& job) {
    MergeIntegers<D> merge(job);
    run_merge(merge, job.n, sizeof(typename Number<D>::pattern), job.out, job.near);
}

static void merge_bfp(const MergeBfp& job) noexcept {
    switch (job.dtype) {
        case Dtype::float16: return merge_integers<Dtype::float16>(job);
        case Dtype::bfloat16: return merge_integers<Dtype::bfloat16>(job);
        case Dtype::float32: return merge_integers<Dtype::float32>(job);
        case Dtype::float64: return merge_integers<Dtype::float64>(job);
    }
}
