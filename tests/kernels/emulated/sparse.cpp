// Kernels of csr, int8, mask, delta and residuals.
#include "jobs.hpp"

namespace mcodec {
namespace {

std::string text(const char* what, size_t size, size_t n) {
    return std::string(what) + " of " + std::to_string(size) + " bytes, " + std::to_string(n) +
           " elements";
}

void compare_bits(Pair& pair, Random& random, size_t n) {
    const size_t bytes = plane_size(n);
    const uint8_t *mask = random.mask(n), *plane = random.plane(n), *packed = random.plane(n);
    const size_t kept = plane_size(ones(mask, n));
    pair.compare(text("count_bits", 1, n), [&](const Table& t, Outputs& o) {
        CountBits job{bytes, plane, 0};
        t.count_bits(job);
        o.number(job.count);
    });
    pair.compare(text("gather_bits", 1, n), [&](const Table& t, Outputs& o) {
        t.gather_bits({bytes, bytes, mask, plane, o.array(kept)});
    });
    pair.compare(text("spread_bits", 1, n), [&](const Table& t, Outputs& o) {
        t.spread_bits({bytes, kept, mask, packed, o.array(bytes)});
    });
}

void compare_elements(Pair& pair, Random& random, size_t n, size_t size) {
    uint8_t* values = random.bytes(n * size);
    for (size_t i = 0; i < n; i += 3) std::memset(values + i * size, 0, size);
    const uint8_t* mask = random.mask(n);
    const size_t count = ones(mask, n);
    const uint8_t* packed = random.bytes(count * size);
    pair.compare(text("nonzero_plane", size, n), [&](const Table& t, Outputs& o) {
        t.nonzero_plane({n, size, values, o.array(plane_size(n))});
    });
    pair.compare(text("gather_elements", size, n), [&](const Table& t, Outputs& o) {
        t.gather_elements({n, size, count, mask, values, o.array(count * size)});
    });
    pair.compare(text("spread_elements", size, n), [&](const Table& t, Outputs& o) {
        t.spread_elements({n, size, count, mask, packed, o.array(n * size)});
    });
    for (bool with_sign : {false, true}) {
        pair.compare(text("mask_elements", size, n), [&](const Table& t, Outputs& o) {
            t.mask_elements({n, size, with_sign, mask, values, o.array(n * size)});
        });
    }
}

// Gaps below 2^k, now and then a byte that only counts; and some that go past the end.
void compare_gaps(Pair& pair, Random& random, size_t n, int k) {
    const size_t most = n / (k ? 2 << k : 1);
    uint8_t* high = random.bytes_below(most, 2);
    for (size_t i = 0; i < most; ++i) {
        if (random.below(50) == 0) high[i] = 255;
    }
    GapsToPlane job{};
    job.n = n;
    job.bytes = most;
    for (size_t i = 0; i < most; ++i) job.count += high[i] != 255;
    job.high = high;
    job.k = k;
    for (int i = 0; i < k; ++i) job.low[i] = random.plane(job.count);
    pair.compare(text("gaps_to_plane", k, n), [&](const Table& t, Outputs& o) {
        job.out = o.array(plane_size(n));
        t.gaps_to_plane(job);
        if (!job.valid) std::memset(job.out, 0, plane_size(n));  // then it holds anything
        o.number(job.valid);
    });
}

void compare_int8(Pair& pair, Random& random, Dtype dtype, size_t n, const Scopes& scopes) {
    Int8 job{};
    job.dtype = dtype;
    job.n = n;
    job.scopes = scopes;
    uint8_t* scales = random.bytes(4 * scopes.count);
    for (size_t i = 0; i < scopes.count; ++i) {
        const uint32_t pattern =
            static_cast<uint32_t>((1 + random.below(254)) << 23 | (random.word() & 0x7FFFFF));
        std::memcpy(scales + 4 * i, &pattern, 4);
    }
    job.scales = scales;
    job.in = random.patterns(dtype, n, true);
    pair.compare(text("quantize_int8", size_of(dtype), n), [&](const Table& t, Outputs& o) {
        job.out = o.array(n);
        t.quantize_int8(job);
    });
    if (random.below(2)) {
        job.to = {random.mask(n), n};
        job.n = ones(job.to.mask, n);
    }
    job.in = random.below(2) ? random.bytes_below(job.n, 128) : nullptr;
    for (const uint8_t*& plane : job.planes) {
        plane = !job.in && random.below(8) ? random.plane(job.n) : nullptr;
    }
    pair.compare(text("dequantize_int8", size_of(dtype), n), [&](const Table& t, Outputs& o) {
        job.out = o.array(n * size_of(dtype));
        t.dequantize_int8(job);
        if (!job.valid) std::memset(job.out, 0, n * size_of(dtype));
        o.number(job.valid);
    });
}

void compare_difference(Pair& pair, Random& random, Dtype dtype, size_t n) {
    const size_t size = size_of(dtype);
    const int width = static_cast<int>(8 * size);
    const uint8_t* base = random.patterns(dtype, n);
    uint8_t* values = random.patterns(dtype, n);
    for (size_t i = 0; i + 1 < n; i += 2) std::memcpy(values + i * size, base + i * size, size);
    for (size_t i = 0; i < n; i += 4) values[i * size] ^= static_cast<uint8_t>(random.word());
    uint8_t* lengths = random.bytes(n);
    portable.delta_lengths({n, size, base, values, lengths});
    pair.compare(text("delta_lengths", size, n), [&](const Table& t, Outputs& o) {
        t.delta_lengths({n, size, base, values, o.array(n)});
    });
    CountAbove above{n, lengths, width, {}};
    pair.compare(text("count_above", size, n), [&](const Table& t, Outputs& o) {
        t.count_above(above);
        for (int k = 0; k < width; ++k) o.number(above.above[k]);
    });
    MergeDelta merge{n, size, base, lengths, {}, {}, nullptr, false};
    PackDelta pack{n, size, base, values, lengths, {}};
    for (int i = 0; i < width; ++i) {
        merge.bytes[i] = plane_size(above.above[i + 1 == width ? 0 : width - 1 - i]);
        merge.packed[i] = pack.packed[i] = random.bytes(merge.bytes[i]);
    }
    portable.pack_delta(pack);
    pair.compare(text("pack_delta", size, n), [&](const Table& t, Outputs& o) {
        PackDelta job = pack;
        for (int i = 0; i < width; ++i) job.packed[i] = o.array(merge.bytes[i]);
        t.pack_delta(job);
    });
    pair.compare(text("merge_delta", size, n), [&](const Table& t, Outputs& o) {
        merge.out = o.array(n * size);
        t.merge_delta(merge);
        o.number(merge.valid);
    });
}

void compare_classes(Pair& pair, Random& random, Dtype dtype, size_t n, int count) {
    const Format format = format_of(dtype);
    Classes job{};
    job.dtype = dtype;
    job.n = n;
    job.base = random.patterns(dtype, n);
    for (size_t i = 0; i < n; ++i) {  // exponents near the top, so that classes are used
        const size_t size = size_of(dtype);
        uint8_t* top = const_cast<uint8_t*>(job.base) + i * size + size - 1;
        if (i % 3) *top = static_cast<uint8_t>((*top & 0x83) | 0x40);
    }
    job.emax = static_cast<int>(random.below(uint64_t{1} << format.exponent));
    job.count = count;
    MaxExponent most{dtype, n, job.base, 0};
    pair.compare(text("max_exponent", size_of(dtype), n), [&](const Table& t, Outputs& o) {
        t.max_exponent(most);
        o.number(most.exponent);
    });
    if (random.below(4)) job.emax = most.exponent;
    pair.compare(text("count_classes", size_of(dtype), n), [&](const Table& t, Outputs& o) {
        Classes counted = job;
        t.count_classes(counted);
        for (int i = 0; i < count; ++i) {
            job.sizes[i] = counted.counts[i];
            o.number(counted.counts[i]);
        }
    });
    uint8_t* lengths = random.bytes_below(n, 33);
    pair.compare(text("split_classes", size_of(dtype), n), [&](const Table& t, Outputs& o) {
        Classes split = job;
        split.lengths = lengths;
        for (int i = 0; i < count; ++i) split.streams[i] = o.array(job.sizes[i]);
        t.split_classes(split);
        o.number(split.valid);
    });
    for (int i = 0; i < count; ++i) job.streams[i] = random.bytes(job.sizes[i]);
    pair.compare(text("merge_classes", size_of(dtype), n), [&](const Table& t, Outputs& o) {
        job.lengths = o.array(n);
        t.merge_classes(job);
        o.number(job.valid);
    });
}

void compare_residuals(Pair& pair, Random& random, Dtype dtype, size_t n) {
    const uint8_t *base = random.patterns(dtype, n), *values = random.patterns(dtype, n);
    pair.compare(text("subtract_base", size_of(dtype), n), [&](const Table& t, Outputs& o) {
        t.subtract_base({dtype, n, base, values, o.array(8 * n)});
    });
    const uint8_t* under = random.patterns(dtype, n, true);
    const uint8_t* residual = random.patterns(Dtype::float32, n, true);
    pair.compare(text("add_residual", size_of(dtype), n), [&](const Table& t, Outputs& o) {
        t.add_residual({dtype, n, under, residual, o.array(n * size_of(dtype))});
    });
}

}  // namespace

void compare_sparse(Pair& pair, size_t n) {
    Random random;
    compare_bits(pair, random, n);
    for (size_t size : {1, 2, 4, 8}) compare_elements(pair, random, n, size);
    for (int k = 0; k <= 8; ++k) compare_gaps(pair, random, n, k);
    for (Dtype dtype : kDtypes) {
        for (const Scopes& scopes : {Scopes{uint64_t{1} << 48, 1, 0}, Scopes{1, 5, 2},
                                     Scopes{300, 9, 128}, Scopes{1, 5000, 100}}) {
            compare_int8(pair, random, dtype, n, scopes);
        }
    }
}

void compare_deltas(Pair& pair, size_t n) {
    Random random;
    for (Dtype dtype : kDtypes) {
        compare_difference(pair, random, dtype, n);
        for (int count : {1, 2, 8, 16}) compare_classes(pair, random, dtype, n, count);
        if (dtype != Dtype::float64) compare_residuals(pair, random, dtype, n);
    }
}

}  // namespace mcodec
