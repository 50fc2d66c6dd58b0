// Where the streams of chunks are: chunks that hold several are cut as spec/container.md, section
// 4, says.
#pragma once

#include "rows.hpp"

#include <vector>

namespace mcodec {

// Of each stream where it begins, and its bytes. Offsets below zero: -1 to -256 are a fill, of
// -1 - offset; those below are kMappedFrom - the place in the mapping.
struct Places {
    std::vector<int64_t> offsets, lengths;
};

constexpr int64_t kMappedFrom = -257;

inline bool all_zero(const uint8_t* from, size_t size) {
    return std::all_of(from, from + size, [](uint8_t byte) { return byte == 0; });
}

// Cuts a chunk of several streams, whose bytes are at `data` (null for a fill), at `start` of what
// the caller knows; returns whether its streams and their staggers are all of it.
inline bool cut_chunk(const Row& row, const uint8_t* data, int64_t start, const uint64_t* lengths,
                      Places& found) {
    uint64_t at = 0;
    for (size_t i = 0; i < row.streams; ++i) {
        if (lengths[i] > row.raw - at) return false;
        const auto skip = static_cast<int64_t>(data == nullptr ? 0 : at);
        found.offsets.push_back(start <= kMappedFrom ? start - skip : start + skip);
        found.lengths.push_back(static_cast<int64_t>(lengths[i]));
        at += lengths[i];
        if (data == nullptr || i + 1 == row.streams || !staggers(i, lengths[i])) continue;
        if (row.raw - at < kStagger || !all_zero(data + at, kStagger)) return false;
        at += kStagger;
    }
    return at == row.raw;
}

// Places the streams of chunks that `decode` has decoded; returns whether they are as long as the
// `count` lengths say, which a stream that is alone in its chunk need not be.
inline bool place_streams(const Plan& plan, const Segment* mapping, const uint8_t* scratch,
                          const uint64_t* lengths, size_t count, Places& found) {
    size_t stream = 0;
    for (const Chunk& chunk : plan.chunks) {
        const Row& row = chunk.row;
        if (row.streams > count - stream) return false;
        if (row.coder == kRaw && row.raw != row.stored) return false;
        int64_t start = -1 - static_cast<int64_t>(row.fill);
        const uint8_t* data = nullptr;
        if (row.coder != kFill && chunk.at == kMapped) {
            data = mapping->data + row.offset;
            start = kMappedFrom - static_cast<int64_t>(row.offset);
        } else if (row.coder != kFill) {
            data = scratch + chunk.at;
            start = static_cast<int64_t>(chunk.at);
        }
        if (row.streams == 1) {
            found.offsets.push_back(start);
            found.lengths.push_back(row.raw);
        } else if (!cut_chunk(row, data, start, lengths + stream, found)) {
            return false;
        }
        stream += row.streams;
    }
    return stream == count;
}

}  // namespace mcodec
