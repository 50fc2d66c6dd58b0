// gaps_to_plane: positions that are stored as the gaps between them.

// The low bits of gaps, a chunk of them at a time.
struct LowBits {
    const uint8_t* planes[8] = {};
    size_t bytes;  // of a plane
    alignas(64) uint8_t chunk[kChunk];

    LowBits(const GapsToPlane& job, size_t count) : bytes((count + 7) / 8) {
        for (int i = 0; i < job.k; ++i) planes[job.k - 1 - i] = job.low[i];
    }

    void fill(size_t from) {
        alignas(64) uint8_t pad[8][kW];
        const uint8_t* copies[8] = {};
        const size_t left = bytes - from / 8 < kW ? bytes - from / 8 : kW;
        for (int k = 0; k < 8; ++k) {
            if (!planes[k]) continue;
            memcpy(pad[k], planes[k] + from / 8, left);
            memset(pad[k] + left, 0, kW - left);
            copies[k] = pad[k];
        }
        u8v joined[8];
        join_planes(copies, 0, joined);
        for (size_t v = 0; v < 8; ++v) store_lanes(chunk + 16 * v, joined[v]);
    }
};

// 2^8 * 255 a byte at most: no position of bytes that fit in a memory comes near 2^64.
static void gaps_to_plane(GapsToPlane& job) noexcept {
    memset(job.out, 0, (job.n + 7) / 8);
    LowBits low(job, job.count);
    uint64_t position = 0, sum = 0;
    size_t found = 0;
    job.valid = job.bytes == 0 || job.high[job.bytes - 1] != 255;
    for (size_t i = 0; job.valid && i < job.bytes; ++i) {
        sum += job.high[i];
        if (job.high[i] == 255) continue;
        if (found % kChunk == 0) low.fill(found);
        position += (sum << job.k) + low.chunk[found % kChunk];
        if (position >= job.n) {
            job.valid = false;
            return;
        }
        job.out[position / 8] |= static_cast<uint8_t>(1 << position % 8);
        ++position;
        ++found;
        sum = 0;
    }
}
