// A zstd frame of Huffman codes and nothing else: no matches are looked for, since the streams that
// come here have none (`repeats`), and looking takes longer than coding. zstd's own code builds and
// writes the codes; the frame around them is RFC 8878, sections 3.1.1 and 3.1.1.3.
#pragma once

#include "counts.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

extern "C" {
// Of zstd's huf.h, which its single file does not export.
unsigned HUF_optimalTableLog(unsigned most_bits, size_t size, unsigned most_symbol, void* work,
                             size_t work_size, size_t* table, const unsigned* counts, int flags);
size_t HUF_buildCTable_wksp(size_t* table, const unsigned* counts, unsigned most_symbol,
                            unsigned most_bits, void* work, size_t work_size);
size_t HUF_writeCTable_wksp(void* out, size_t room, const size_t* table, unsigned most_symbol,
                            unsigned bits, void* work, size_t work_size);
size_t HUF_compress4X_usingCTable(void* out, size_t room, const void* data, size_t size,
                                  const size_t* table, int flags);
unsigned HUF_isError(size_t code);
}

namespace mcodec {

constexpr size_t kHuffmanBlock = size_t{128} << 10;  // the most that a block of a frame holds
constexpr size_t kHuffmanLeast = 6 + 64;  // smaller streams have other headers; they stay raw
constexpr unsigned kMostBits = 11;        // of a code, in zstd's frames
constexpr int kUseBmi2 = 1;               // where the machine has it: the codes are the same

constexpr size_t kSplitPart = size_t{16} << 10;
constexpr uint64_t kSplitCost = uint64_t{80 * 8} << 16;  // bits of another block and its table

// What a frame of `size` bytes takes at most.
inline size_t frame_room(size_t size) { return size + 9 + 16 * (size / kSplitPart + 1); }

inline bool has_bmi2() {
#if defined(__x86_64__) && defined(__GNUC__)
    return __builtin_cpu_supports("bmi2");
#else
    return false;
#endif
}

// Writes the table and the codes of bytes that occur so often, no more than `size` bytes, as
// HUF_compress4X_repeat does, which would count them again. Returns 0 where they are not smaller.
inline size_t huffman_codes(uint8_t* out, const uint8_t* data, size_t size, const Counts& counts) {
    alignas(8) uint8_t work[8 << 10];
    size_t table[257];
    static const int flags = has_bmi2() ? kUseBmi2 : 0;
    unsigned most_symbol = 255;
    while (counts[most_symbol] == 0) --most_symbol;
    if (*std::max_element(counts.begin(), counts.end()) <= (size >> 7) + 4) return 0;  // noise
    const unsigned wanted = HUF_optimalTableLog(kMostBits, size, most_symbol, work, sizeof work,
                                                table, counts.data(), flags);
    const size_t bits =
        HUF_buildCTable_wksp(table, counts.data(), most_symbol, wanted, work, sizeof work);
    if (HUF_isError(bits)) return 0;
    const size_t head = HUF_writeCTable_wksp(out, size, table, most_symbol,
                                             static_cast<unsigned>(bits), work, sizeof work);
    if (HUF_isError(head) || head + 12 >= size) return 0;
    const size_t codes =
        HUF_compress4X_usingCTable(out + head, size - head, data, size, table, flags);
    return HUF_isError(codes) || codes == 0 || head + codes + 1 >= size ? 0 : head + codes;
}

// Writes one block: its codes, or its bytes where codes save less than a 64th, as zstd has it.
inline uint8_t* huffman_block(uint8_t* out, const uint8_t* data, size_t size, const Counts& counts,
                              bool last) {
    constexpr size_t kHead = 3, kLiterals = 5;
    const bool repeated = counts[data[0]] == size;
    const size_t made = repeated ? 0 : huffman_codes(out + kHead + kLiterals, data, size, counts);
    uint32_t kind = 0;  // a raw block
    size_t length = size;
    uint32_t field = static_cast<uint32_t>(size);
    if (repeated) {
        out[kHead] = data[0];
        kind = 1;
        length = 1;
    } else if (made > 0 && made + kLiterals + 1 + size / 64 < size) {
        // Literals in four streams with sizes of 18 bits; then no sequences.
        const uint64_t literals = 2 | 3 << 2 | uint64_t{size} << 4 | uint64_t{made} << 22;
        std::memcpy(out + kHead, &literals, kLiterals);
        out[kHead + kLiterals + made] = 0;
        kind = 2;
        length = kLiterals + made + 1;
        field = static_cast<uint32_t>(length);
    } else {
        std::memcpy(out + kHead, data, size);
    }
    const uint32_t head = (last ? 1 : 0) | kind << 1 | field << 3;
    std::memcpy(out, &head, kHead);
    return out + kHead + length;
}

// Where the block that begins `data` should end: where bytes begin to be others, as where many
// small tensors lie side by side. `counts` becomes those of its bytes.
inline size_t block_length(const uint8_t* data, size_t size, Counts& counts) {
    const size_t most = std::min(size, kHuffmanBlock);
    size_t length = std::min(most, kSplitPart);
    counts = count(data, length);
    uint64_t bits = bits_of(counts, length);
    while (length < most) {
        const size_t part = std::min(most - length, kSplitPart);
        const Counts own = count(data + length, part);
        Counts joined;
        for (size_t s = 0; s < 256; ++s) joined[s] = counts[s] + own[s];
        const uint64_t together = bits_of(joined, length + part);
        if (bits + bits_of(own, part) + kSplitCost < together) break;
        counts = joined;
        bits = together;
        length += part;
    }
    return length;
}

// Writes a frame into `frame_room(size)` bytes, and returns its length; adds to `total`, if there
// is one, how often bytes occur.
inline size_t huffman_frame(uint8_t* out, const uint8_t* data, size_t size, Counts* total) {
    uint8_t* at = out;
    const uint32_t magic = 0xFD2FB528;
    std::memcpy(at, &magic, 4);
    at += 4;
    *at++ = 0xA0;  // one segment, its length in four bytes
    const auto length = static_cast<uint32_t>(size);
    std::memcpy(at, &length, 4);
    at += 4;
    for (size_t done = 0; done < size;) {
        Counts counts;
        const size_t part = block_length(data + done, size - done, counts);
        if (total != nullptr) {
            for (size_t s = 0; s < 256; ++s) (*total)[s] += counts[s];
        }
        at = huffman_block(at, data + done, part, counts, done + part == size);
        done += part;
    }
    return static_cast<size_t>(at - out);
}

}  // namespace mcodec
