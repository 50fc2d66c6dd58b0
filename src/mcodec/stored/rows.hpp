// Row tables: which rows are plainly good, and whether chunks overlap (spec/container.md, 6, step
// 13).
//
// A file has many rows, and nearly all are good. What is not plainly so is for the caller, who
// knows the rules in their order and says which one is broken.
#pragma once

#include "chunks.hpp"

#include <algorithm>
#include <utility>

namespace mcodec {

constexpr uint64_t kVariable = UINT64_MAX;  // in place of a length
constexpr uint64_t kEmptyHash = 0x2D06800538D394C2;
constexpr uint64_t kMaxRaw = 64ull << 20;
constexpr uint64_t kStagger = 64;
constexpr uint64_t kPage = 4096;

// Whether 64 zeros follow stream `i` of a raw chunk if it is not the last.
inline bool staggers(size_t i, uint64_t length) {
    return i % 6 == 5 && length > 0 && length % kPage == 0;
}

// The Raw of a chunk of streams, with its staggers; kVariable where they do not say.
inline uint64_t raw_of(const uint64_t* lengths, size_t streams, uint8_t coder) {
    uint64_t total = 0;
    for (size_t i = 0; i < streams; ++i) {
        if (lengths[i] > kMaxRaw) return kVariable;
        total += lengths[i];
        if (coder == kRaw && staggers(i, lengths[i]) && i + 1 < streams) total += kStagger;
    }
    return total;
}

inline bool is_plain(const Row& row, uint64_t end) {
    if (row.zero[0] || row.zero[1] || row.zero[2] || row.raw > kMaxRaw) return false;
    if (row.stored == 0) {
        return row.coder == kFill && row.offset == 0 && row.hash == kEmptyHash;
    }
    if (row.fill != 0 || row.offset % (row.stored < kPage ? 8 : 64) != 0) return false;
    if (row.offset < 64 || row.stored > end || row.offset > end - row.stored) return false;
    return (row.coder == kRaw && row.stored == row.raw) || row.coder == kZstd;
}

// How many rows hold the streams of one block, if all are plainly good; else 0.
inline size_t plain_rows(const uint8_t* rows, size_t count, const uint64_t* lengths, size_t streams,
                         uint8_t mode, uint64_t end) {
    size_t covered = 0;
    for (size_t i = 0; i < count && covered < streams; ++i) {
        Row row;
        std::memcpy(&row, rows + i * sizeof(Row), sizeof(Row));
        const size_t left = streams - covered;
        if (row.first != covered || row.streams == 0 || row.streams > left) return 0;
        if (row.mode != mode || !is_plain(row, end)) return 0;
        if (row.coder == kZstd && row.streams > 1) return 0;
        if (row.raw != raw_of(lengths + covered, row.streams, row.coder)) return 0;
        covered += row.streams;
        if (covered == streams) return i + 1;
    }
    return 0;
}

// Where the first chunk begins that overlaps what lies before it; 0 if none does.
inline uint64_t overlap(const uint8_t* rows, size_t count, uint64_t front, uint64_t length) {
    std::vector<std::pair<uint64_t, uint64_t>> claims;
    claims.reserve(count + 1);
    claims.emplace_back(front, length);
    for (size_t i = 0; i < count; ++i) {
        Row row;
        std::memcpy(&row, rows + i * sizeof(Row), sizeof(Row));
        if (row.stored != 0) claims.emplace_back(row.offset, row.stored);
    }
    std::sort(claims.begin(), claims.end());
    uint64_t end = 0;
    for (const auto& [start, size] : claims) {
        if (start < end) return start;
        end = start + size;
    }
    return 0;
}

}  // namespace mcodec
