// split_float, merge_float, merge_symbols: the fields of IEEE numbers as they are.
//
// Mantissa planes travel through the networks in groups of eight. The sign is the highest bit of
// the last group, which no mantissa fills; byte arithmetic moves it to its place. A symbol is an
// exponent and two mantissa bits in a byte.

template <Dtype D>
struct Fields {
    static constexpr Format format = format_of(D);
    static constexpr size_t size = format.width / 8;
    static constexpr int groups = format.mantissa / 8 + 1;
    static constexpr int sign = 8 * groups - 1;
    static constexpr int parts = D == Dtype::float64 ? 2 : 1;
};

// The bytes b of numbers from groups g, the exponent's low byte e and, for float64, its high one.
template <Dtype D>
MC_INLINE void fields_to_bytes(u8v* b, const u8v* g, u8v e, u8v high) {
    constexpr int last = Fields<D>::groups - 1;
    for (int i = 0; i < last; ++i) b[i] = g[i];
    if (D == Dtype::float16) {
        b[1] = (g[1] & 0x83) | (e & 0x1F) << 2;
    } else if (D == Dtype::float64) {
        b[6] = (g[6] & 0x0F) | e << 4;
        b[7] = (g[6] & 0x80) | (high & 0x07) << 4 | e >> 4;
    } else {
        b[last] = (g[last] & 0x7F) | e << 7;
        b[last + 1] = (g[last] & 0x80) | e >> 1;
    }
}

template <Dtype D>
MC_INLINE void bytes_to_fields(const u8v* b, u8v* g, u8v& e, u8v& high) {
    constexpr int last = Fields<D>::groups - 1;
    for (int i = 0; i < last; ++i) g[i] = b[i];
    if (D == Dtype::float16) {
        g[1] = b[1] & 0x83;
        e = b[1] >> 2 & 0x1F;
    } else if (D == Dtype::float64) {
        g[6] = (b[6] & 0x0F) | (b[7] & 0x80);
        e = b[6] >> 4 | b[7] << 4;
        high = b[7] >> 4 & 0x07;
    } else {
        g[last] = (b[last] & 0x7F) | (b[last + 1] & 0x80);
        e = b[last] >> 7 | b[last + 1] << 1;
    }
}

template <Dtype D>
struct MergeFields : Fields<D> {
    // so many streams in and one out: without the reads of the output it is 1.1 to 1.8 times faster
    static constexpr bool kStream = true;
    using F = Fields<D>;
    const uint8_t* planes[8 * F::groups] = {};  // by bit of the groups
    bool used[F::groups] = {};
    const uint8_t* exponent[F::parts];
    u8v fill[F::parts];

    explicit MergeFields(const MergeFloat& job, int above = 0) {
        const int top = F::format.mantissa - 1 - above;
        for (int i = 0; i < job.count; ++i) planes[top - i] = job.planes[i];
        planes[F::sign] = job.sign;
        for (int k = 0; k < 8 * F::groups; ++k) used[k / 8] |= planes[k] != nullptr;
        for (int i = 0; i < F::parts; ++i) {
            exponent[i] = job.exponent[2 - F::parts + i];
            fill[i] = u8v{} + job.fill[2 - F::parts + i];
        }
    }

    template <class Visit>
    void inputs(Visit visit) {
        for (const uint8_t*& plane : planes) {
            if (plane) visit(plane, kW);
        }
        for (const uint8_t*& part : exponent) {
            if (part) visit(part, kChunk);
        }
    }

    u8v part(int i, size_t at) const {
        return exponent[i] ? load_lanes(exponent[i] + at) : fill[i];
    }

    // put(i, g, b) makes the bytes of the elements from i on of their groups.
    template <class Put>
    MC_FORCED void merge(size_t from, uint8_t* out, Put put) const {
        for (const uint8_t* part : exponent) {
            if (part) fetch_ahead(part + from, kChunk);
        }
        u8v groups[F::groups][8];
        for (int g = 0; g < F::groups; ++g) {
            if (used[g]) join_planes(planes + 8 * g, from / 8, groups[g]);
        }
        for (size_t v = 0; v < 8; ++v) {
            u8v g[F::groups], b[8];
            for (int i = 0; i < F::groups; ++i) g[i] = used[i] ? groups[i][v] : u8v{};
            put(from + 16 * v, g, b);
            put_elements<F::size>(out, v, b);
        }
    }

    void chunk(size_t, size_t from, size_t, uint8_t* out) const {
        merge(from, out, [&](size_t at, const u8v* g, u8v* b) {
            fields_to_bytes<D>(b, g, part(F::parts - 1, at), part(0, at));
        });
    }
};

// Numbers of symbols: T, an exponent and the two mantissa bits behind it, is at the bits 0 to 6 of
// a float16's high byte, and at 5 to 14 of the two high bytes of the others. As `first` is even,
// adding it leaves the three bits below it as they are in the symbol.
template <Dtype D>
struct MergeTops : MergeFields<D> {
    static constexpr bool half = D == Dtype::float16;
    static constexpr int last = Fields<D>::size - 1;
    u8v first, most{};

    explicit MergeTops(const MergeFloatSymbols& job) : MergeFields<D>(job, 2) {
        first = u8v{} + static_cast<uint8_t>(job.first / 2);
    }

    void chunk(size_t, size_t from, size_t, uint8_t* out) {
        this->merge(from, out, [&](size_t at, const u8v* g, u8v* b) {
            const u8v symbol = load_lanes(this->exponent[0] + at);
            const u8v sign = g[Fields<D>::groups - 1] & 0x80;
            most = symbol > most ? symbol : most;
            for (int i = 0; i < last; ++i) b[i] = g[i];
            if (half) {
                b[last] = sign | (symbol & 0x7F);
            } else {
                b[last - 1] = (b[last - 1] & 0x1F) | symbol << 5;
                b[last] = sign | (((symbol >> 3) + first) & (u8v)(symbol != 0));
            }
        });
    }

    bool valid(uint8_t start) const {
        uint8_t found[kW], largest = 0;
        store(found, most);
        for (const uint8_t symbol : found) largest = symbol > largest ? symbol : largest;
        return largest / 4 + start < 1 << format_of(D).exponent;
    }
};

template <Dtype D>
struct SplitFields : Fields<D> {
    using F = Fields<D>;
    uint8_t* planes[8 * F::groups] = {};
    bool used[F::groups] = {};
    uint8_t* exponent[F::parts];

    explicit SplitFields(const SplitFloat& job) {
        for (int i = 0; i < job.count; ++i) planes[F::format.mantissa - 1 - i] = job.planes[i];
        planes[F::sign] = job.sign;
        for (int k = 0; k < 8 * F::groups; ++k) used[k / 8] |= planes[k] != nullptr;
        for (int i = 0; i < F::parts; ++i) exponent[i] = job.exponent[2 - F::parts + i];
    }

    template <class Visit>
    void outputs(Visit visit) {
        for (uint8_t*& plane : planes) {
            if (plane) visit(plane, kW);
        }
        for (uint8_t*& part : exponent) visit(part, kChunk);
    }

    void chunk(size_t, size_t from, size_t, const uint8_t* in) const {
        u8v groups[F::groups][8];
        for (size_t v = 0; v < 8; ++v) {
            u8v b[8], g[F::groups], low{}, high{};
            get_elements<F::size>(in, v, b);
            bytes_to_fields<D>(b, g, low, high);
            for (int i = 0; i < F::groups; ++i) groups[i][v] = g[i];
            store_lanes(exponent[F::parts - 1] + from + 16 * v, low);
            if (F::parts == 2) store_lanes(exponent[0] + from + 16 * v, high);
        }
        for (int g = 0; g < F::groups; ++g) {
            if (used[g]) cut_planes(groups[g], planes + 8 * g, from / 8);
        }
    }
};

template <Dtype D>
static void merge_fields(const MergeFloat& job) {
    MergeFields<D> merge(job);
    run_placed<Fields<D>::size>(merge, job.n, job.to, job.out, job.near);
}

template <Dtype D>
static void merge_tops(MergeFloatSymbols& job) {
    MergeTops<D> merge(job);
    run_placed<Fields<D>::size>(merge, job.n, job.to, job.out, job.near);
    job.valid = merge.valid(job.first);
}

template <Dtype D>
static void split_fields(const SplitFloat& job) {
    SplitFields<D> split(job);
    run_split(split, job.n, Fields<D>::size, job.values);
}

static void merge_float(const MergeFloat& job) noexcept {
    switch (job.dtype) {
        case Dtype::float16: return merge_fields<Dtype::float16>(job);
        case Dtype::bfloat16: return merge_fields<Dtype::bfloat16>(job);
        case Dtype::float32: return merge_fields<Dtype::float32>(job);
        case Dtype::float64: return merge_fields<Dtype::float64>(job);
    }
}

static void merge_symbols(MergeFloatSymbols& job) noexcept {
    switch (job.dtype) {
        case Dtype::float16: return merge_tops<Dtype::float16>(job);
        case Dtype::bfloat16: return merge_tops<Dtype::bfloat16>(job);
        default: return merge_tops<Dtype::float32>(job);
    }
}

static void split_float(const SplitFloat& job) noexcept {
    switch (job.dtype) {
        case Dtype::float16: return split_fields<Dtype::float16>(job);
        case Dtype::bfloat16: return split_fields<Dtype::bfloat16>(job);
        case Dtype::float32: return split_fields<Dtype::float32>(job);
        case Dtype::float64: return split_fields<Dtype::float64>(job);
    }
}
