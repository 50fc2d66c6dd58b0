// merge_classes for targets that move bytes by an index.

// Adds the next bytes of a stream to the elements of a vector that `same` marks with ones, and
// moves on: a lane takes from where its own come by their ranks, which are running sums of marks.
MC_INLINE u8v add_marked(u8v same, uint64_t marks, const uint8_t** stream, u8v sum) {
    u8v rank = same;
    rank += shift_up<1>(rank);
    rank += shift_up<2>(rank);
    rank += shift_up<4>(rank);
    rank += shift_up<8>(rank);
    const uint8_t* from[kW / 16];
#pragma GCC unroll 4
    for (size_t lane = 0; lane < kW / 16; ++lane) {
        from[lane] = *stream;
        *stream += ones(marks >> 16 * lane & 0xFFFF);
    }
    return sum | shuffle(join_lanes(from), ~(rank & same));  // -1 is the first; 0 is none
}

// `deal` for a merge, a vector at a time.
template <Dtype D>
static bool merge_vectors(const Classes& job) {
    constexpr size_t reach = kChunk + 16;
    const uint8_t* next[kMaxClasses];
    size_t left[kMaxClasses];
    for (int i = 0; i < job.count; ++i) {
        next[i] = job.streams[i];
        left[i] = job.sizes[i];
    }
    const bool within = for_classes<D>(job, [&](size_t at, size_t count, const uint8_t* classes) {
        uint8_t pad[kMaxClasses][reach];  // for streams that one would read past
        const uint8_t* from[kMaxClasses];
        const uint8_t* begin[kMaxClasses];
        for (int i = 0; i < job.count; ++i) {
            from[i] = next[i];
            if (left[i] < reach) from[i] = static_cast<uint8_t*>(memcpy(pad[i], next[i], left[i]));
            begin[i] = from[i];
        }
        alignas(64) uint8_t merged[kChunk];
        for (size_t v = 0; v < kChunk; v += kW) {
            const u8v own = load(classes + v);
            u8v sum{};
            for (int i = 0; i < job.count; ++i) {
                const u8v same = (u8v)(own == static_cast<uint8_t>(i));
                const uint64_t marks = tops(same);
                sum = add_marked(same, marks, from + i, sum);
            }
            store(merged + v, sum);
        }
        bool fits = true;
        for (int i = 0; i < job.count; ++i) {
            const size_t taken = static_cast<size_t>(from[i] - begin[i]);
            fits &= taken <= left[i];
            next[i] += taken;
            left[i] -= taken;
        }
        memcpy(job.lengths + at, merged, count);
        return fits;
    });
    size_t rest = 0;
    for (int i = 0; i < job.count; ++i) rest |= left[i];
    return within && !rest;
}
