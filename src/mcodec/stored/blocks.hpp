// Frames taken apart into blocks (RFC 8878, sections 3.1.1.2 and 3.1.1.3), as far as they have no
// matches: those that `huffman_frame` makes, and many of zstd's own. Any others, and any that break
// a rule, are left to zstd.
#pragma once

#include "frames.hpp"
#include "pairs.hpp"

#include <vector>

#if defined(MCODEC_PAIRS) && defined(__x86_64__)
namespace mcodec {

// Reads the literals of a block of Huffman codes; returns whether there is nothing else in it.
inline bool read_literals(const uint8_t* block, size_t size, size_t room, Literals& found) {
    constexpr unsigned kHuffman = 2;
    if (size < 5 || (block[0] & 3) != kHuffman) return false;
    const unsigned format = block[0] >> 2 & 3;
    if (format == 0) return false;  // one stream
    const int bits = format == 1 ? 10 : format == 2 ? 14 : 18;
    const size_t head = format == 1 ? 3 : format == 2 ? 4 : 5;
    uint64_t field = 0;
    std::memcpy(&field, block, head);
    const uint64_t mask = (uint64_t{1} << bits) - 1;
    found.data = block + head;
    found.raw = field >> 4 & mask;
    found.size = field >> (4 + bits) & mask;
    if (found.raw < kPairLeast || found.raw > room) return false;
    // Where codes are short, under 4.5 bits, zstd finds two in one lookup, and is as fast.
    if (found.size * 16 < found.raw * 9) return false;
    // A byte of zero behind them: no sequences.
    return found.size + head + 1 == size && block[size - 1] == 0;
}

// Appends the blocks of Huffman codes of a frame to `found`, and puts others into `out`; returns
// whether the frame is made of such blocks.
inline bool take_apart(uint8_t* out, size_t raw, const uint8_t* frame, size_t stored,
                       std::vector<Literals>& found) {
    ZSTD_FrameHeader header;
    if (frame_fault(header, raw, frame, stored) != nullptr) return false;
    const uint8_t* const end = frame + stored;
    const uint8_t* at = frame + header.headerSize;
    uint8_t* const stop = out + raw;
    for (bool last = false; !last;) {
        constexpr size_t kHead = 3;
        if (static_cast<size_t>(end - at) < kHead) return false;
        const uint32_t head = at[0] | at[1] << 8 | static_cast<uint32_t>(at[2]) << 16;
        at += kHead;
        last = head & 1;
        const unsigned kind = head >> 1 & 3;
        const size_t size = head >> 3;
        const size_t room = std::min(static_cast<size_t>(stop - out), size_t{header.blockSizeMax});
        const size_t length = kind == 1 ? 1 : size;
        if (size > header.blockSizeMax || length > static_cast<size_t>(end - at)) return false;
        if (kind == 2) {
            Literals literals;
            if (!read_literals(at, size, room, literals)) return false;
            literals.out = out;
            found.push_back(literals);
            out += literals.raw;
        } else if (kind < 2 && size <= room) {
            if (kind == 0) std::memcpy(out, at, size);
            if (kind == 1) std::memset(out, at[0], size);
            out += size;
        } else {
            return false;
        }
        at += length;
    }
    return at == end && out == stop;
}

// Blocks of the frames of a batch, decoded two at a time.
class Blocks {
  public:
    // Takes a frame, and returns whether it is of blocks that can be.
    bool add(size_t row, uint8_t* out, size_t raw, const uint8_t* frame, size_t stored) {
        if (!has_pairs()) return false;
        found_.clear();
        if (!take_apart(out, raw, frame, stored, found_)) return false;
        for (const Literals& literals : found_) pair({row, literals});
        return true;
    }

    // Decodes what is left, and returns the rows of frames that zstd is to decode, in their order.
    const std::vector<size_t>& finish() {
        for (const Block& block : waiting_) alone(block);
        waiting_.clear();
        std::sort(wrong_.begin(), wrong_.end());
        wrong_.erase(std::unique(wrong_.begin(), wrong_.end()), wrong_.end());
        return wrong_;
    }

  private:
    struct Block {
        size_t row;
        Literals literals;
    };
    static constexpr size_t kWaiting = 8;

    void pair(const Block& block) {
        for (size_t i = 0; i < waiting_.size(); ++i) {
            const Block other = waiting_[i];
            if (other.literals.step() != block.literals.step()) continue;
            waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
            if (decoder_.run(other.literals, block.literals)) return;
            wrong_.push_back(other.row);
            wrong_.push_back(block.row);
            return;
        }
        if (waiting_.size() == kWaiting) {
            alone(waiting_.front());
            waiting_.erase(waiting_.begin());
        }
        waiting_.push_back(block);
    }

    void alone(const Block& block) {
        if (!decode_alone(block.literals)) wrong_.push_back(block.row);
    }

    PairDecoder decoder_;
    std::vector<Literals> found_;
    std::vector<Block> waiting_;
    std::vector<size_t> wrong_;
};

}  // namespace mcodec
#else
namespace mcodec {

// Where there is no faster way than zstd's, all frames are left to it.
class Blocks {
  public:
    bool add(size_t, uint8_t*, size_t, const uint8_t*, size_t) { return false; }
    std::vector<size_t> finish() { return {}; }
};

}  // namespace mcodec
#endif
