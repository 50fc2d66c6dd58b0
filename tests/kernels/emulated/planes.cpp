// Plane kernels: IEEE fields, block floating point, small integers, measures.
#include "jobs.hpp"

#include <algorithm>

namespace mcodec {
namespace {

std::string text(const char* what, Dtype dtype, size_t n, int more = 0) {
    return std::string(what) + " of dtype " + std::to_string(static_cast<int>(dtype)) + ", " +
           std::to_string(n) + " elements, " + std::to_string(more);
}

void split_fields(Pair& pair, Random& random, Dtype dtype, size_t n, int count) {
    const uint8_t* values = random.patterns(dtype, n);
    pair.compare(text("split_float", dtype, n, count), [&](const Table& table, Outputs& outputs) {
        SplitFloat job{};
        job.dtype = dtype;
        job.n = n;
        job.values = values;
        job.sign = outputs.array(plane_size(n));
        for (uint8_t*& part : job.exponent) part = outputs.array(n);
        if (dtype != Dtype::float64) std::memset(job.exponent[0], 0, n);
        job.count = count;
        for (int i = 0; i < count; ++i) job.planes[i] = outputs.array(plane_size(n));
        table.split_float(job);
    });
}

// Some planes are zeros, exponents are there or not, and elements lie side by side or by a mask.
MergeFloatSymbols random_fields(Random& random, Dtype dtype, size_t n, int most) {
    MergeFloatSymbols job{};
    job.dtype = dtype;
    job.n = n;
    if (random.below(2)) {
        job.to = {random.mask(n), n};
        job.n = ones(job.to.mask, n);
    }
    job.sign = random.below(4) ? random.plane(job.n) : nullptr;
    for (uint8_t& fill : job.fill) fill = static_cast<uint8_t>(random.word());
    for (const uint8_t*& part : job.exponent)
        part = random.below(4) ? random.bytes(job.n) : nullptr;
    job.count = static_cast<int>(random.below(static_cast<uint64_t>(most) + 1));
    for (int i = 0; i < job.count; ++i) {
        job.planes[i] = random.below(8) ? random.plane(job.n) : nullptr;
    }
    return job;
}

void merge_fields(Pair& pair, Random& random, Dtype dtype, size_t n) {
    const int mantissa = format_of(dtype).mantissa;
    MergeFloatSymbols fields = random_fields(random, dtype, n, mantissa);
    pair.compare(text("merge_float", dtype, n, fields.count), [&](const Table& t, Outputs& o) {
        fields.out = o.array(n * size_of(dtype));
        t.merge_float(fields);
    });
    if (dtype == Dtype::float64) return;
    MergeFloatSymbols symbols = random_fields(random, dtype, n, mantissa - 2);
    symbols.exponent[1] = random.bytes_below(symbols.n, dtype == Dtype::float16 ? 124 : 256);
    symbols.first = dtype == Dtype::float16 ? 0 : static_cast<uint8_t>(2 * random.below(97));
    pair.compare(text("merge_symbols", dtype, n, symbols.count), [&](const Table& t, Outputs& o) {
        symbols.out = o.array(n * size_of(dtype));
        t.merge_symbols(symbols);
        o.number(symbols.valid);
    });
}

void compare_bytes(Pair& pair, Random& random, size_t n, int count) {
    pair.compare(text("planes_to_bytes", {}, n, count),
                 [&, job = PlanesToBytes{}](const Table& t, Outputs& o) mutable {
                     if (!job.count) {
                         job.count = count;
                         job.n = n;
                         for (int i = 0; i < count; ++i) job.planes[i] = random.plane(n);
                     }
                     job.out = o.array(n);
                     t.planes_to_bytes(job);
                 });
    const uint8_t* values = random.bytes(n);
    pair.compare(text("bytes_to_planes", {}, n, count), [&](const Table& t, Outputs& o) {
        BytesToPlanes job{n, count, values, {}};
        for (int i = 0; i < count; ++i) job.planes[i] = o.array(plane_size(n));
        t.bytes_to_planes(job);
    });
}

void measure(Pair& pair, Random& random, Dtype dtype, size_t n) {
    const uint8_t* values = random.patterns(dtype, n);
    for (const Scopes& scopes : {Scopes{1, 7, 3}, Scopes{50, 3, 20}, Scopes{1u << 20, 1, 0}}) {
        pair.compare(text("scope_max", dtype, n), [&](const Table& t, Outputs& o) {
            uint8_t* maxima = o.array(8 * scopes.count);
            std::memset(maxima, 0, 8 * scopes.count);
            t.scope_max({dtype, n, values, scopes, maxima});
        });
    }
    const uint8_t *source = random.patterns(dtype, n, true),
                  *near = random.patterns(dtype, n, true);
    pair.compare(text("error_stats", dtype, n), [&](const Table& t, Outputs& o) {
        ErrorStats job{dtype, n, source, near, 0.0, 0.0, 0.0};
        t.error_stats(job);
        for (double number : {job.largest, job.squares, job.signal}) o.number(number);
    });
}

// Exponents from `low` to `high`, some of scopes of zeros.
Scale random_scale(Random& random, const Scopes& scopes, int low, int high) {
    uint8_t* table = random.bytes(2 * scopes.count);
    for (size_t i = 0; i < scopes.count; ++i) {
        int16_t e = static_cast<int16_t>(low + static_cast<int>(random.below(high - low + 1)));
        if (random.below(9) == 0) e = kZeroScope;
        std::memcpy(table + 2 * i, &e, 2);
    }
    return {scopes, reinterpret_cast<const int16_t*>(table), 0.0f};
}

void split_integers(Pair& pair, Random& random, Dtype dtype, size_t n, int bits, Scale scale) {
    const uint8_t* values = random.patterns(dtype, n, true);
    const bool truncate = scale.exponents && random.below(2);
    pair.compare(text("split_bfp", dtype, n, bits), [&](const Table& t, Outputs& o) {
        SplitBfp job{dtype, n, values, bits, truncate, scale, o.array(plane_size(n)), {}};
        for (int i = 0; i < bits; ++i) job.planes[i] = o.array(plane_size(n));
        t.split_bfp(job);
    });
}

void merge_integers(Pair& pair, Random& random, Dtype dtype, size_t n, int bits, Scale scale) {
    MergeBfp job{};
    job.dtype = dtype;
    job.n = n;
    job.bits = bits;
    job.count = random.below(2) ? bits : static_cast<int>(random.below(bits + 1));
    job.mid = job.count <= 23 && random.below(2);
    job.scale = scale;
    job.sign = random.below(8) ? random.plane(n) : nullptr;
    if (random.below(2)) {
        job.symbols = random.bytes_below(n, 1u << std::min(8, bits));
        job.count = std::max(job.count, job.above());
    }
    for (int i = 0; i < job.count - job.above(); ++i) {
        job.planes[i] = random.below(8) ? random.plane(n) : nullptr;
    }
    pair.compare(text("merge_bfp", dtype, n, bits), [&](const Table& t, Outputs& o) {
        job.out = o.array(n * size_of(dtype));
        t.merge_bfp(job);
    });
}

}  // namespace

void compare_planes(Pair& pair, size_t n) {
    Random random;
    for (Dtype dtype : kDtypes) {
        const int mantissa = format_of(dtype).mantissa;
        split_fields(pair, random, dtype, n, mantissa);
        split_fields(pair, random, dtype, n, static_cast<int>(random.below(mantissa)));
        for (int i = 0; i < 4; ++i) merge_fields(pair, random, dtype, n);
        measure(pair, random, dtype, n);
    }
    for (int count = 1; count <= 8; ++count) compare_bytes(pair, random, n, count);
}

void compare_bfp(Pair& pair, size_t n, int bits) {
    Random random;
    for (Dtype dtype : kDtypes) {
        for (const Scopes& scopes : {Scopes{uint64_t{1} << 48, 1, 0}, Scopes{1, 5, 2},
                                     Scopes{300, 9, 128}, Scopes{4096, 3, 1}}) {
            // factors that are normal, and some that are not; the largest numbers
            for (const auto& [low, high] : {std::pair{-3, 5}, {-150, 130}, {128, 128}, {15, 17}}) {
                const Scale scale = random_scale(random, scopes, low, high);
                split_integers(pair, random, dtype, n, bits, scale);
                merge_integers(pair, random, dtype, n, bits, scale);
            }
        }
        for (float step : {0.0117f, 0x1p-126f, 0x1.8p120f}) {
            split_integers(pair, random, dtype, n, bits, {{1, 1, 0}, nullptr, step});
            merge_integers(pair, random, dtype, n, bits, {{1, 1, 0}, nullptr, step});
        }
    }
}

}  // namespace mcodec
