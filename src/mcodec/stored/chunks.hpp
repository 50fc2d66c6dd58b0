// Chunks of a file, as their rows say (spec/container.md, section 4): read, checked, decompressed.
#pragma once

#include "blocks.hpp"
#include "hash.hpp"

#include <cerrno>
#include <cstring>
#include <unistd.h>
#include <vector>

namespace mcodec {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are little-endian");

struct Row {
    uint64_t offset;
    uint32_t stored;
    uint32_t raw;
    uint64_t hash;
    uint8_t coder, fill, first, streams, mode, zero[3];
};
static_assert(sizeof(Row) == 32, "a row has 32 bytes");

enum Coder : uint8_t { kFill = 0, kRaw = 1, kZstd = 2 };

// Bytes of the file that are in memory already.
struct Segment {
    uint64_t offset;
    const uint8_t* data;
    size_t size;
};

// Neighbours in the file, read at once.
struct Extent {
    uint64_t start, stop;
    size_t at;  // where in the scratch
};

struct Chunk {
    Row row;
    size_t stored_at;  // in the scratch
    size_t at;         // of its decoded bytes; kMapped where they lie in the mapping
};

constexpr size_t kMapped = SIZE_MAX;

// Where everything goes in a scratch of `room` bytes.
struct Plan {
    std::vector<Extent> extents;
    std::vector<Chunk> chunks;
    size_t room = 0;
};

struct Failure {
    enum Kind { kNone, kHash, kFrame, kShort, kSystem } kind = kNone;
    size_t row = 0;
    const char* what = "";
    int error = 0;
};

constexpr uint64_t kGap = 64;  // chunks this close are read as one

// 64 bytes more between chunks: planes a power of two apart would thrash the caches.
inline size_t after(size_t at, size_t size) { return (at + size + 63) / 64 * 64 + 64; }

// Places what is stored in the scratch, neighbours as one extent.
inline void place_stored(Plan& found) {
    for (Chunk& chunk : found.chunks) {
        const Row& row = chunk.row;
        if (row.stored == 0) continue;
        const uint64_t stop = row.offset + row.stored;
        if (!found.extents.empty()) {
            Extent& last = found.extents.back();
            if (row.offset >= last.stop && row.offset - last.stop <= kGap) {
                chunk.stored_at = last.at + (row.offset - last.start);
                last.stop = stop;
                continue;
            }
            found.room = after(last.at, last.stop - last.start);
        }
        found.extents.push_back({row.offset, stop, found.room});
        chunk.stored_at = found.room;
    }
    if (!found.extents.empty()) {
        const Extent& last = found.extents.back();
        found.room = after(last.at, last.stop - last.start);
    }
}

inline Plan plan(const uint8_t* rows, size_t count, bool mapped) {
    Plan found;
    found.chunks.resize(count);
    for (size_t i = 0; i < count; ++i) {
        std::memcpy(&found.chunks[i].row, rows + i * sizeof(Row), sizeof(Row));
    }
    if (!mapped) place_stored(found);
    for (Chunk& chunk : found.chunks) {
        if (chunk.row.coder == kZstd) {
            chunk.at = found.room;
            found.room = after(found.room, chunk.row.raw);
        } else {
            chunk.at = mapped ? kMapped : chunk.stored_at;
        }
    }
    return found;
}

inline Failure pull(int file, const Extent& extent, uint8_t* scratch) {
    size_t done = 0;
    const size_t size = extent.stop - extent.start;
    while (done < size) {
        const ssize_t got = pread(file, scratch + extent.at + done, size - done,
                                  static_cast<off_t>(extent.start + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return {Failure::kSystem, 0, "", errno};
        if (got == 0) return {Failure::kShort, 0, "the file ends early", 0};
        done += static_cast<size_t>(got);
    }
    return {};
}

// An extent may lie over several segments that follow each other.
inline Failure copy(const std::vector<Segment>& segments, const Extent& extent, uint8_t* scratch) {
    uint64_t at = extent.start;
    while (at < extent.stop) {
        const Segment* holder = nullptr;
        for (const Segment& segment : segments) {
            if (segment.offset <= at && at < segment.offset + segment.size) holder = &segment;
        }
        if (holder == nullptr) return {Failure::kShort, 0, "the file ends early", 0};
        const size_t skip = at - holder->offset;
        size_t size = holder->size - skip;
        if (size > extent.stop - at) size = extent.stop - at;
        std::memcpy(scratch + extent.at + (at - extent.start), holder->data + skip, size);
        at += size;
    }
    return {};
}

// Where the bytes of a chunk stand as they are stored; null if not in the mapping, if there is one.
inline const uint8_t* stored_bytes(const Chunk& chunk, const Segment* mapping,
                                   const uint8_t* scratch) {
    if (mapping == nullptr) return scratch + chunk.stored_at;
    const Row& row = chunk.row;
    if (row.offset > mapping->size || row.stored > mapping->size - row.offset) return nullptr;
    return mapping->data + row.offset;
}

// Checks the hash of each chunk, and decompresses what is compressed. What is stored lies in the
// mapping if there is one, else in the scratch.
inline Failure decode(const Plan& plan, const Segment* mapping, uint8_t* scratch, bool verify) {
    Failure failure;
    Blocks blocks;
    for (size_t i = 0; i < plan.chunks.size() && failure.kind == Failure::kNone; ++i) {
        const Chunk& chunk = plan.chunks[i];
        const Row& row = chunk.row;
        if (row.coder == kFill) continue;
        const uint8_t* const stored = stored_bytes(chunk, mapping, scratch);
        if (stored == nullptr) {
            failure = {Failure::kShort, i, "the file ends early", 0};
        } else if (verify && XXH3_64bits(stored, row.stored) != row.hash) {
            failure = {Failure::kHash, i, "", 0};
        } else if (row.coder == kZstd) {
            uint8_t* const out = scratch + chunk.at;
            if (blocks.add(i, out, row.raw, stored, row.stored)) continue;
            const char* const wrong = decompress(out, row.raw, stored, row.stored);
            if (wrong != nullptr) failure = {Failure::kFrame, i, wrong, 0};
        }
    }
    // Rows before the one that failed, if one did: the first that is wrong is told.
    for (const size_t i : blocks.finish()) {
        const Chunk& chunk = plan.chunks[i];
        const char* const wrong =
            decompress(scratch + chunk.at, chunk.row.raw, stored_bytes(chunk, mapping, scratch),
                       chunk.row.stored);
        if (wrong != nullptr) return {Failure::kFrame, i, wrong, 0};
    }
    return failure;
}

}  // namespace mcodec
