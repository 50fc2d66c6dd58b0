// One zstd frame under the rules of spec/container.md, section 5.
#pragma once

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include <cstdint>
#include <memory>

namespace mcodec {

constexpr unsigned long long kMaxWindow = 8ull << 20;

// Reads a frame's header; returns null, or what is wrong with it.
inline const char* frame_fault(ZSTD_FrameHeader& header, size_t raw, const uint8_t* frame,
                               size_t stored) {
    if (ZSTD_getFrameHeader(&header, frame, stored) != 0 || header.frameType != ZSTD_frame) {
        return "not a zstd frame";
    }
    if (header.frameContentSize != raw) return "frame holds another number of bytes";
    if (header.dictID != 0 || header.checksumFlag != 0)
        return "frame has a dictionary or a checksum";
    return header.windowSize > kMaxWindow ? "frame has a window over 8 MiB" : nullptr;
}

// Returns null, or what is wrong with the frame.
inline const char* decompress(uint8_t* out, size_t raw, const uint8_t* frame, size_t stored) {
    struct Free {
        void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
    };
    thread_local std::unique_ptr<ZSTD_DCtx, Free> context(ZSTD_createDCtx());
    if (!context) return "no memory for zstd";
    ZSTD_FrameHeader header;
    const char* const fault = frame_fault(header, raw, frame, stored);
    if (fault != nullptr) return fault;
    const size_t length = ZSTD_findFrameCompressedSize(frame, stored);
    if (ZSTD_isError(length) || length != stored)
        return "frame is cut off, or something follows it";
    const size_t made = ZSTD_decompressDCtx(context.get(), out, raw, frame, stored);
    if (ZSTD_isError(made)) return ZSTD_getErrorName(made);
    return made == raw ? nullptr : "frame gave another number of bytes";
}

}  // namespace mcodec
