// planes_to_bytes, bytes_to_planes: small integers, one a byte.

struct MergeSymbols {
    static constexpr bool kStream = false;
    const uint8_t* planes[8] = {};

    explicit MergeSymbols(const PlanesToBytes& job) {
        for (int i = 0; i < job.count; ++i) planes[job.count - 1 - i] = job.planes[i];
    }
    template <class Visit>
    void inputs(Visit visit) {
        for (const uint8_t*& plane : planes) {
            if (plane) visit(plane, kW);
        }
    }
    void chunk(size_t, size_t from, size_t, uint8_t* out) const {
        u8v bytes[8];
        join_planes(planes, from / 8, bytes);
        for (size_t v = 0; v < 8; ++v) store_lanes(out + 16 * v, bytes[v]);
    }
};

struct SplitSymbols {
    uint8_t* planes[8] = {};

    explicit SplitSymbols(const BytesToPlanes& job) {
        for (int i = 0; i < job.count; ++i) planes[job.count - 1 - i] = job.planes[i];
    }
    template <class Visit>
    void outputs(Visit visit) {
        for (uint8_t*& plane : planes) {
            if (plane) visit(plane, kW);
        }
    }
    void chunk(size_t, size_t from, size_t, const uint8_t* in) const {
        u8v bytes[8];
        for (size_t v = 0; v < 8; ++v) bytes[v] = load_lanes(in + 16 * v);
        cut_planes(bytes, planes, from / 8);
    }
};

static void planes_to_bytes(const PlanesToBytes& job) noexcept {
    MergeSymbols merge(job);
    run_merge(merge, job.n, 1, job.out);
}

static void bytes_to_planes(const BytesToPlanes& job) noexcept {
    SplitSymbols split(job);
    run_split(split, job.n, 1, job.values);
}
