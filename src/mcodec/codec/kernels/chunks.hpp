// From chunks to arrays: full chunks in place, the last elements through padded copies, and large
// outputs past the cache.

// The bytes of an array for some elements: `unit`, its bytes a chunk, tells planes from elements.
MC_INLINE size_t bytes_for(size_t elements, size_t unit) {
    return unit == kW ? (elements + 7) / 8 : elements * (unit / kChunk);
}

// Where a merge writes: straight to the output, or past the cache, which saves reading what is
// about to be overwritten but needs whole aligned lines. Then chunks go to a stage in the cache
// first, `phase_` bytes behind its start, as far as the output is behind a line, and leave it by
// lines.
class Sink {
  public:
    Sink(uint8_t* out, bool streaming)
        : out_(out),
          begin_(out),
          streaming_(streaming),
          phase_(reinterpret_cast<uintptr_t>(out) % 64) {}

    uint8_t* next() { return streaming_ ? stage_ + phase_ : out_; }

    // `bytes`, a multiple of 64, are at next().
    void push(size_t bytes) {
        if (streaming_) flush(bytes);
        out_ += bytes;
    }

    // Returns where the rest of the output goes.
    uint8_t* finish() {
        if (streaming_ && out_ != begin_) {
            memcpy(out_ - phase_, stage_, phase_);
            stream_end();
        }
        return out_;
    }

  private:
    void flush(size_t bytes) {
        size_t i = 0;
        if (phase_ && out_ == begin_) {  // the line that others own too
            memcpy(out_, stage_ + phase_, 64 - phase_);
            i = 64;
        }
        for (; i < bytes; i += kW) stream(out_ - phase_ + i, load(stage_ + i));
        memcpy(stage_, stage_ + bytes, phase_);
    }

    uint8_t* out_;
    uint8_t* begin_;
    bool streaming_;
    size_t phase_;
    alignas(64) uint8_t stage_[8 * kChunk + 64];
};

// Copies of what a job reads for its last elements, each padded with zeros to a chunk.
constexpr size_t kPad = kW * 64 + kChunk * 17;

template <class Job>
MC_INLINE void pad_inputs(Job& job, size_t full, size_t rest, uint8_t* pad) {
    job.inputs([&](const uint8_t*& input, size_t unit) {
        memset(pad, 0, unit);
        memcpy(pad, input + full / kChunk * unit, bytes_for(rest, unit));
        input = pad;
        pad += unit;
    });
}

// Fetches what a chunk of an array that is read at a few places at a time will need later.
MC_INLINE void fetch_ahead(const uint8_t* array, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(array + i + 2048);
}

// A job has: inputs(f), which calls f(pointer, unit) for each array that it reads, and
// chunk(at, from, count, out), which makes `count` elements, padded to a chunk, of those that begin
// at `at`; `from` is where they are in the arrays. kStream says whether its output, when large, is
// better written past the cache.
template <class Job>
MC_INLINE void run_merge(Job& job, size_t n, size_t size, uint8_t* out, bool near = false) {
    const size_t rest = n % kChunk, full = n - rest;
    Sink sink(out, kStreams && Job::kStream && !near && n * size >= kStreamFrom);
    for (size_t at = 0; at < full; at += kChunk) {
        job.chunk(at, at, kChunk, sink.next());
        sink.push(kChunk * size);
    }
    out = sink.finish();
    if (!rest) return;
    alignas(64) uint8_t pad[kPad];
    alignas(64) uint8_t last[kChunk * 8];
    pad_inputs(job, full, rest, pad);
    job.chunk(full, 0, rest, last);
    memcpy(out, last, rest * size);
}

// The same for a job with outputs(f) and chunk(at, from, count, in).
template <class Job>
MC_INLINE void run_split(Job& job, size_t n, size_t size, const uint8_t* values) {
    const size_t rest = n % kChunk, full = n - rest;
    for (size_t at = 0; at < full; at += kChunk) job.chunk(at, at, kChunk, values + at * size);
    if (!rest) return;
    alignas(64) uint8_t pad[kW * 64 + kChunk * 2];
    alignas(64) uint8_t last[kChunk * 8];
    memset(last, 0, sizeof last);
    memcpy(last, values + full * size, rest * size);
    struct {
        uint8_t* to;
        size_t bytes;
    } copies[64];
    uint8_t* free = pad;
    int count = 0;
    job.outputs([&](uint8_t*& output, size_t unit) {
        copies[count++] = {output + full / kChunk * unit, bytes_for(rest, unit)};
        output = free;
        free += unit;
    });
    job.chunk(full, 0, rest, last);
    count = 0;
    job.outputs([&](uint8_t*& output, size_t) {
        memcpy(copies[count].to, output, copies[count].bytes);
        ++count;
    });
}
