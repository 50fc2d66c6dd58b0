// The classes of elements by the exponent of a base, and what is counted of lengths.

// How often each byte comes: eight tables, so that equal bytes do not wait for each other.
struct Histogram {
    uint64_t counts[8][256] = {};

    void add(const uint8_t* bytes, size_t n) {
        size_t i = 0;
        for (; i + 8 <= n; i += 8) {
            const uint64_t word = get<uint64_t>(bytes + i, 0);
#pragma GCC unroll 8
            for (int j = 0; j < 8; ++j) ++counts[j][word >> 8 * j & 0xFF];
        }
        for (; i < n; ++i) ++counts[0][bytes[i]];
    }
    uint64_t of(int byte) const {
        uint64_t sum = 0;
        for (const auto& table : counts) sum += table[byte];
        return sum;
    }
};

// By the planes of comparisons: fast where ones are counted by an instruction.
template <size_t Size>
static void count_planes(CountAbove& job) {
    using D = Delta<Size>;
    for (size_t at = 0; at < job.n; at += kChunk) {
        const uint8_t* lengths = job.lengths + at;
        alignas(64) uint8_t pad[kChunk];
        if (job.n - at < kChunk) {
            memset(pad, 0, kChunk);
            lengths = static_cast<uint8_t*>(memcpy(pad, lengths, job.n - at));
        }
        u8v longer[D::width];
        D::compare(lengths, longer);
        for (int k = 0; k < D::width; ++k) {
            const Words words = words_of(longer[k]);
            if (!words.any()) break;
            for (uint64_t word : words.at) job.above[k] += ones(word);
        }
    }
}

static void count_above(CountAbove& job) noexcept {
    for (uint64_t& count : job.above) count = 0;
    if (kCountsOnes && job.most <= 16) return count_planes<2>(job);
    if (kCountsOnes && job.most <= 32) return count_planes<4>(job);
    if (kCountsOnes && job.most <= 64) return count_planes<8>(job);
    Histogram histogram;
    histogram.add(job.lengths, job.n);
    uint64_t above = job.n;
    for (int k = 0; k < 256; ++k) job.above[k] = above -= histogram.of(k);
}

template <Dtype D>
MC_INLINE int exponent_of(const uint8_t* base, size_t i) {
    constexpr Format format = format_of(D);
    return get<typename Number<D>::pattern>(base, i) >> format.mantissa &
           ((1 << format.exponent) - 1);
}

// The classes of a chunk of elements, by bytes: a difference of exponents is one byte and what was
// borrowed from the next.
template <Dtype D>
MC_INLINE void classify(const uint8_t* base, int emax, int count, uint8_t* classes) {
    const uint8_t low = static_cast<uint8_t>(emax), high = static_cast<uint8_t>(emax >> 8);
    const uint8_t last = static_cast<uint8_t>(count - 1);
    for (size_t v = 0; v < 8; ++v) {
        u8v b[8], g[8], exponent{}, above{};
        get_elements<Fields<D>::size>(base, v, b);
        bytes_to_fields<D>(b, g, exponent, above);
        const u8v below = low - exponent;
        const u8v rest = high - above + (u8v)(exponent > low);
        const u8v far = (u8v)(below > last) | (u8v)(rest != 0);
        const u8v negative = (u8v)(rest > 0x7F);
        store_lanes(classes + 16 * v, ((below & ~far) | (far & last)) & ~negative);
    }
}

// Calls visit(at, count, classes) for chunks, until it returns false. Past the last element there
// are classes that none has.
template <Dtype D, class Visit>
MC_INLINE bool for_classes(const Classes& job, Visit visit) {
    constexpr size_t size = Fields<D>::size;
    alignas(64) uint8_t classes[kChunk], pad[kChunk * size];
    for (size_t at = 0; at < job.n; at += kChunk) {
        const size_t count = job.n - at < kChunk ? job.n - at : kChunk;
        const uint8_t* base = job.base + at * size;
        fetch_ahead(base, kChunk * size);
        if (count < kChunk) base = static_cast<uint8_t*>(memcpy(pad, base, count * size));
        classify<D>(base, job.emax, job.count, classes);
        memset(classes + count, kMaxClasses, kChunk - count);
        if (!visit(at, count, classes)) return false;
    }
    return true;
}

template <Dtype D>
static void find_exponent(MaxExponent& job) {
    int largest = 0;
    for (size_t i = 0; i < job.n; ++i) {
        const int exponent = exponent_of<D>(job.base, i);
        largest = largest < exponent ? exponent : largest;
    }
    job.exponent = largest;
}

template <Dtype D>
static void count_in_classes(Classes& job) {
    Histogram histogram;
    for_classes<D>(job, [&](size_t, size_t count, const uint8_t* classes) {
        histogram.add(classes, count);
        return true;
    });
    for (int i = 0; i < job.count; ++i) job.counts[i] = histogram.of(i);
}

// Calls move(where in its stream, element) for every element in order; false if the streams have
// other sizes than the classes.
template <Dtype D, class Move>
MC_INLINE bool deal(const Classes& job, Move move) {
    uint8_t* next[kMaxClasses];
    const uint8_t* end[kMaxClasses];
    for (int i = 0; i < job.count; ++i) {
        next[i] = job.streams[i];
        end[i] = next[i] + job.sizes[i];
    }
    const bool within = for_classes<D>(job, [&](size_t at, size_t count, const uint8_t* classes) {
        bool roomy = true;
        for (int i = 0; i < job.count; ++i) {
            roomy &= static_cast<size_t>(end[i] - next[i]) >= count;
        }
        for (size_t i = 0; i < count; ++i) {
            uint8_t*& stream = next[classes[i]];
            if (!roomy && stream == end[classes[i]]) return false;
            move(stream++, at + i);
        }
        return true;
    });
    bool full = within;
    for (int i = 0; i < job.count; ++i) full &= next[i] == end[i];
    return full;
}

template <Dtype D>
static void split_by_class(Classes& job) {
    job.valid = deal<D>(job, [&](uint8_t* place, size_t i) { *place = job.lengths[i]; });
}

#ifdef MC_SHUFFLES
#include "class_vectors.hpp"
#endif

template <Dtype D>
static void merge_by_class(Classes& job) {
#ifdef MC_SHUFFLES
    job.valid = merge_vectors<D>(job);
#else
    job.valid = deal<D>(job, [&](uint8_t* place, size_t i) { job.lengths[i] = *place; });
#endif
}

// Calls f with a dtype as a constant.
template <class F>
MC_INLINE void with_dtype(Dtype dtype, F f) {
    switch (dtype) {
        case Dtype::float16: return f(std::integral_constant<Dtype, Dtype::float16>{});
        case Dtype::bfloat16: return f(std::integral_constant<Dtype, Dtype::bfloat16>{});
        case Dtype::float32: return f(std::integral_constant<Dtype, Dtype::float32>{});
        case Dtype::float64: return f(std::integral_constant<Dtype, Dtype::float64>{});
    }
}

static void max_exponent(MaxExponent& job) noexcept {
    with_dtype(job.dtype, [&](auto dtype) { find_exponent<dtype>(job); });
}
static void count_classes(Classes& job) noexcept {
    with_dtype(job.dtype, [&](auto dtype) { count_in_classes<dtype>(job); });
}
static void split_classes(Classes& job) noexcept {
    with_dtype(job.dtype, [&](auto dtype) { split_by_class<dtype>(job); });
}
static void merge_classes(Classes& job) noexcept {
    with_dtype(job.dtype, [&](auto dtype) { merge_by_class<dtype>(job); });
}
