// merge_delta, pack_delta, delta_lengths: differences between two tensors, bit by bit.
//
// A chunk of differences is handled as W planes of one vector each. From the planes of the lengths
// come those of "longer than k", which say whose bits an array has; a sign becomes the rest of a
// two's complement, and the other way round, by one pass from the lowest plane up.

// A plane of a chunk by words.
struct Words {
    uint64_t at[kW / 8];

    bool any() const {
        uint64_t all = 0;
        for (uint64_t word : at) all |= word;
        return all;
    }
    bool all() const {
        uint64_t common = ~uint64_t{0};
        for (uint64_t word : at) common &= word;
        return common == ~uint64_t{0};
    }
};

MC_INLINE Words words_of(const u8v& plane) {
    Words words;
    const uint8_t* bytes = reinterpret_cast<const uint8_t*>(&plane);
#pragma GCC unroll 8
    for (size_t i = 0; i < kW / 8; ++i) words.at[i] = get<uint64_t>(bytes, i);
    return words;
}

template <size_t Size>
struct Delta {
    static constexpr int width = 8 * Size;
    typedef typename Unsigned<Size>::type word;
    typedef std::make_signed_t<word> number;

    // Patterns to integers in the order of their numbers, and back.
    static word flipped(word u) {
        constexpr word rest = static_cast<word>(~(word{1} << (width - 1)));
        const word negative = static_cast<word>(static_cast<number>(u) >> (width - 1));
        return static_cast<word>(u ^ (negative & rest));
    }

    static word difference(const uint8_t* base, const uint8_t* values, size_t i) {
        return static_cast<word>(flipped(get<word>(values, i)) - flipped(get<word>(base, i)));
    }

    // longer[k]: the elements of a chunk whose length is above k.
    static void compare(const uint8_t* lengths, u8v (&longer)[width]) {
        u8v bytes[8], bits[8];
        for (size_t v = 0; v < 8; ++v) bytes[v] = load_lanes(lengths + 16 * v);
        cut_bits(bytes, bits);
        constexpr int low = Size == 2 ? 4 : Size == 4 ? 5 : 6;  // of the bits of a length
        longer[0] = u8v{};
#pragma GCC unroll 6
        for (int j = 0; j < low; ++j) {
#pragma GCC unroll 32
            for (int k = 0; k < 1 << j; ++k) {
                longer[k + (1 << j)] = bits[j] & longer[k];
                longer[k] |= bits[j];
            }
        }
        u8v all = bits[low];
        for (int j = low + 1; j < 8; ++j) all |= bits[j];
        if (!words_of(all).any()) return;
        for (u8v& plane : longer) plane |= all;
    }

    // Signed planes to magnitudes and back: where `negative` has ones, -x.
    static void negate(u8v (&planes)[width], u8v negative) {
        u8v seen{};
        for (u8v& plane : planes) {
            const u8v bits = plane;
            plane ^= negative & seen;
            seen |= bits;
        }
    }
};

// `plane` is better not read as a vector at once: its words are still on their way to the cache.
template <class Bits>
MC_INLINE void spread_plane(BitReader& stored, const Words& chosen, u8v* plane) {
    uint8_t* out = reinterpret_cast<uint8_t*>(plane);
    BitReader reader = stored;
    __builtin_prefetch(reader.data + reader.at / 8 + kAhead);
    if (reader.has(8 * kW)) {
#pragma GCC unroll 8
        for (size_t i = 0; i < kW / 8; ++i) {
            put(out, i, Bits::spread(reader.next(), chosen.at[i]));
            reader.at += ones(chosen.at[i]);
        }
    } else {
        for (size_t i = 0; i < kW / 8; ++i) {
            put(out, i, Bits::spread(reader.next_at_end(), chosen.at[i]));
            reader.at += ones(chosen.at[i]);
        }
    }
    stored.at = reader.at;
}

// The same where all elements are chosen.
MC_INLINE u8v full_plane(BitReader& reader) {
    const uint8_t* from = reader.data + reader.at / 8;
    const int shift = reader.at % 8;
    reader.at += 8 * kW;
    __builtin_prefetch(from + kAhead);
    return (u8v)((u64v)load(from) >> shift | (u64v)load(from + 1) << (8 - shift));
}

template <class Bits>
MC_INLINE void gather_plane(BitWriter& writer, u8v plane, u8v chosen) {
    alignas(64) uint64_t words[kW / 8], masks[kW / 8];
    store(words, plane);
    store(masks, chosen);
    for (size_t i = 0; i < kW / 8; ++i) {
        writer.add(Bits::gather(words[i], masks[i]), ones(masks[i]));
    }
}

template <size_t Size, class Bits>
struct MergeDifferences : Delta<Size> {
    using D = Delta<Size>;
    using word = typename D::word;
    static constexpr bool kStream = false;
    static constexpr int width = D::width;
    const uint8_t* base;
    const uint8_t* lengths;
    BitReader low[width];  // by bit; the last has the signs

    explicit MergeDifferences(const MergeDelta& job) : base(job.base), lengths(job.lengths) {
        for (int i = 0; i < width; ++i) {
            BitReader& reader = low[i + 1 < width ? width - 2 - i : i];
            reader = {job.packed[i], job.bytes[i]};
        }
    }

    template <class Visit>
    void inputs(Visit visit) {
        visit(base, kChunk * Size);
        visit(lengths, kChunk);
    }

    void chunk(size_t, size_t from, size_t, uint8_t* out) {
        u8v longer[width], planes[width];
        D::compare(lengths + from, longer);
        fetch_ahead(base + from * Size, kChunk * Size);
        fetch_ahead(out, kChunk * Size);
        u8v negative;
        spread_plane<Bits>(low[width - 1], words_of(longer[0]), &negative);
        int top = 0;  // the first plane without bits but the highest ones
        for (; top + 1 < width; ++top) {
            const Words chosen = words_of(longer[top + 1]);
            if (!chosen.all() || !low[top].has(8 * kW)) break;
            planes[top] = full_plane(low[top]);
        }
        for (; top + 1 < width; ++top) {
            const Words chosen = words_of(longer[top + 1]);
            if (!chosen.any()) break;
            spread_plane<Bits>(low[top], chosen, planes + top);
        }
        u8v seen{};
#pragma GCC unroll 4
        for (int k = 0; k < top; ++k) {
            const u8v bits = planes[k] | (longer[k] & ~longer[k + 1]);
            planes[k] = bits ^ (negative & seen);
            seen |= bits;
        }
        planes[top] = longer[top] ^ (negative & seen);
        for (int k = top + 1; k < width; ++k) planes[k] = negative;
        join(planes, top, out);
        const uint8_t* in = base + from * Size;
#pragma GCC unroll 4
        for (size_t i = 0; i < kChunk; ++i) {
            const word sum = static_cast<word>(D::flipped(get<word>(in, i)) + get<word>(out, i));
            put<word>(out, i, D::flipped(sum));
        }
    }

    static void join(const u8v (&planes)[width], int top, uint8_t* out) {
        u8v bytes[Size][8];
        for (size_t i = 0; i < Size; ++i) {
            if (8 * i > static_cast<size_t>(top) + 1) {  // signs alone
                for (size_t v = 0; v < 8; ++v) bytes[i][v] = (u8v)(bytes[i - 1][v] > 0x7F);
                continue;
            }
            u8v group[8];
            for (int k = 0; k < 8; ++k) group[k] = planes[8 * i + k];
            join_bits(group, bytes[i]);
        }
        for (size_t v = 0; v < 8; ++v) {
            u8v b[8];
            for (size_t i = 0; i < Size; ++i) b[i] = bytes[i][v];
            put_elements<Size>(out, v, b);
        }
    }

    // Whether the arrays had as many bits as the lengths say.
    bool fits() const {
        for (const BitReader& reader : low) {
            if ((reader.at + 7) / 8 != reader.bytes) return false;
        }
        return true;
    }
};

template <size_t Size, class Bits>
struct PackDifferences : Delta<Size> {
    using D = Delta<Size>;
    using word = typename D::word;
    static constexpr int width = D::width;
    const uint8_t* base;
    const uint8_t* values;
    const uint8_t* lengths;
    BitWriter low[width];

    explicit PackDifferences(const PackDelta& job)
        : base(job.base), values(job.values), lengths(job.lengths) {
        for (int i = 0; i < width; ++i) {
            low[i + 1 < width ? width - 2 - i : i] = {job.packed[i]};
        }
    }

    template <class Visit>
    void inputs(Visit visit) {
        visit(base, kChunk * Size);
        visit(values, kChunk * Size);
        visit(lengths, kChunk);
    }

    void chunk(size_t, size_t from, size_t, uint8_t* tile) {
        u8v longer[width], planes[width];
        D::compare(lengths + from, longer);
        for (size_t i = 0; i < kChunk; ++i) {
            put<word>(tile, i, D::difference(base + from * Size, values + from * Size, i));
        }
        cut(tile, planes);
        const u8v negative = planes[width - 1];
        D::negate(planes, negative);
        for (int k = 0; k + 1 < width && words_of(longer[k + 1]).any(); ++k) {
            gather_plane<Bits>(low[k], planes[k], longer[k + 1]);
        }
        gather_plane<Bits>(low[width - 1], negative, longer[0]);
    }

    static void cut(const uint8_t* tile, u8v (&planes)[width]) {
        u8v bytes[Size][8];
        for (size_t v = 0; v < 8; ++v) {
            u8v b[8];
            get_elements<Size>(tile, v, b);
            for (size_t i = 0; i < Size; ++i) bytes[i][v] = b[i];
        }
        for (size_t i = 0; i < Size; ++i) {
            u8v group[8];
            cut_bits(bytes[i], group);
            for (int k = 0; k < 8; ++k) planes[8 * i + k] = group[k];
        }
    }

    void run(size_t n) {
        alignas(64) uint8_t tile[kChunk * Size], pad[kPad];
        const size_t rest = n % kChunk, full = n - rest;
        for (size_t at = 0; at < full; at += kChunk) chunk(at, at, kChunk, tile);
        if (rest) {
            pad_inputs(*this, full, rest, pad);
            chunk(full, 0, rest, tile);
        }
        for (BitWriter& writer : low) writer.finish();
    }
};

template <size_t Size>
static void measure(const DeltaLengths& job) {
    using D = Delta<Size>;
    for (size_t i = 0; i < job.n; ++i) {
        const typename D::word d = D::difference(job.base, job.values, i);
        const bool negative = d >> (D::width - 1);
        const uint64_t size = static_cast<typename D::word>(negative ? 0 - d : d);
        job.out[i] = static_cast<uint8_t>(size ? 64 - __builtin_clzll(size) : 0);
    }
}

static void delta_lengths(const DeltaLengths& job) noexcept {
    with_size(job.size, [&](auto size) {
        constexpr size_t bytes = decltype(size)::value;
        if constexpr (bytes > 1) measure<bytes>(job);
    });
}

static void pack_delta(const PackDelta& job) noexcept {
    with_size(job.size, [&](auto size) {
        with_bits([&](auto bits) {
            constexpr size_t bytes = decltype(size)::value;
            if constexpr (bytes > 1) PackDifferences<bytes, decltype(bits)>(job).run(job.n);
        });
    });
}

static void merge_delta(MergeDelta& job) noexcept {
    with_size(job.size, [&](auto size) {
        with_bits([&](auto bits) {
            constexpr size_t bytes = decltype(size)::value;
            if constexpr (bytes > 1) {
                MergeDifferences<bytes, decltype(bits)> merge(job);
                run_merge(merge, job.n, bytes, job.out);
                job.valid = merge.fits();
            }
        });
    });
}
