// The long lists of a manifest, tensors and shapes, where they are written as mcodec writes them.
//
// Nothing is made for each of them until it is asked for. What is written otherwise (spaces,
// escapes, numbers of 2^48 and more) is for the caller, who knows the rules in their order.
#pragma once

#include "hash.hpp"

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace mcodec {

constexpr uint64_t kElements = 1ull << 48;  // no dimension, product or run has as many
constexpr size_t kMost = 1 << 20;           // tensors, or members
constexpr size_t kDimensions = 64;
constexpr size_t kNameBytes = 4096;
constexpr size_t kProbes = 64;  // names that fall together are for the caller: somebody made them

// How deep brackets nest outside strings; -1 where a string does not end.
inline int64_t depth_of(const uint8_t* at, const uint8_t* end) {
    int64_t depth = 0, deepest = 0;
    for (; at != end; ++at) {
        if (*at == '"') {
            for (++at; at != end && *at != '"'; ++at) {
                if (*at == '\\' && ++at == end) return -1;
            }
            if (at == end) return -1;
        } else if (*at == '[' || *at == '{') {
            if (++depth > deepest) deepest = depth;
        } else if (*at == ']' || *at == '}') {
            --depth;
        }
    }
    return deepest;
}

// JSON without spaces, read from left to right.
class Text {
  public:
    Text(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
    bool done() const { return at_ == end_; }
    bool take(char wanted) {
        if (at_ == end_ || *at_ != static_cast<uint8_t>(wanted)) return false;
        ++at_;
        return true;
    }
    // A whole number below 2^48.
    bool number(uint64_t& value) {
        const uint8_t* const start = at_;
        value = 0;
        while (at_ != end_ && *at_ >= '0' && *at_ <= '9' && value < kElements) {
            value = 10 * value + (*at_++ - '0');
        }
        if (at_ == start || value >= kElements) return false;
        return *start != '0' || at_ - start == 1;
    }
    // A string without escapes.
    bool string(std::string_view& value) {
        if (!take('"')) return false;
        const uint8_t* const start = at_;
        while (at_ != end_ && *at_ != '"' && *at_ != '\\' && *at_ >= 0x20) ++at_;
        value = {reinterpret_cast<const char*>(start), static_cast<size_t>(at_ - start)};
        return take('"');
    }

  private:
    const uint8_t* at_;
    const uint8_t* end_;
};

// The shapes of a run's members, and where they lie in it.
struct Shapes {
    std::vector<uint64_t> sides;  // of all members, one after another
    std::vector<uint32_t> ends;   // where those of each member end
    std::vector<uint64_t> starts, sizes;
    uint64_t elements = 0;

    size_t size() const { return ends.size(); }
    bool parse(Text text) {
        if (!text.take('[')) return false;
        do {
            if (ends.size() == kMost || !shape(text)) return false;
        } while (text.take(','));
        return text.take(']') && text.done();
    }

  private:
    bool shape(Text& text) {
        uint64_t all = 1, apart = 1;  // the product, and that of sides that are not 0
        const size_t first = sides.size();
        if (!text.take('[')) return false;
        if (!text.take(']')) {
            do {
                uint64_t side;
                if (sides.size() - first == kDimensions || !text.number(side)) return false;
                all *= side;
                if (side && apart > (kElements - 1) / side) return false;
                apart *= side ? side : 1;
                sides.push_back(side);
            } while (text.take(','));
            if (!text.take(']')) return false;
        }
        const uint64_t start = (elements + 7) & ~7ull;
        if (start + all >= kElements) return false;
        ends.push_back(static_cast<uint32_t>(sides.size()));
        starts.push_back(start);
        sizes.push_back(all);
        elements = start + all;
        return true;
    }
};

// The tensors of a task: names, each once, and their places.
struct Tensors {
    std::vector<std::string_view> names;  // in the text, which outlives them
    std::vector<uint32_t> runs, members;

    bool parse(Text text) {
        if (!text.take('[')) return false;
        if (!text.take(']')) {
            do {
                if (names.size() == kMost || !tensor(text)) return false;
            } while (text.take(','));
            if (!text.take(']')) return false;
        }
        return text.done() && index();
    }
    // The number of the tensor of a name; -1 for none.
    int64_t find(std::string_view name) const {
        const size_t mask = slots_.size() - 1;
        size_t slot = XXH3_64bits(name.data(), name.size());
        for (size_t i = 0; i < kProbes; ++i, ++slot) {
            const uint32_t found = slots_[slot & mask];
            if (found == 0) return -1;
            if (names[found - 1] == name) return found - 1;
        }
        return -1;
    }

  private:
    bool tensor(Text& text) {
        std::string_view name;
        uint64_t run, member;
        const bool good = text.take('[') && text.string(name) && text.take(',') &&
                          text.number(run) && text.take(',') && text.number(member) &&
                          text.take(']') && name.size() <= kNameBytes && run < kMost &&
                          member < kMost;
        if (!good) return false;
        names.push_back(name);
        runs.push_back(static_cast<uint32_t>(run));
        members.push_back(static_cast<uint32_t>(member));
        return true;
    }
    // Note where names are to be found; false where two are the same, or many fall together.
    bool index() {
        size_t room = 8;
        while (room < 2 * names.size()) room *= 2;
        slots_.assign(room, 0);
        for (size_t i = 0; i < names.size(); ++i) {
            size_t slot = XXH3_64bits(names[i].data(), names[i].size());
            size_t tries = 0;
            while (const uint32_t other = slots_[slot & (room - 1)]) {
                if (++tries == kProbes || names[other - 1] == names[i]) return false;
                ++slot;
            }
            slots_[slot & (room - 1)] = static_cast<uint32_t>(i + 1);
        }
        return true;
    }

    std::vector<uint32_t> slots_;  // by hash: 0, or the number of a tensor and 1
};

// What a task's tensors come to.
struct Sum {
    bool good = true;   // all places are there, and the bytes a number that can be held
    bool apart = true;  // no two tensors have one place
    uint64_t bytes = 0;
    std::vector<uint32_t> runs;  // that they lie in
};

inline Sum sum_of(const Tensors& tensors, const std::vector<const Shapes*>& runs,
                  const std::vector<uint64_t>& items) {
    Sum sum;
    std::vector<size_t> first(runs.size() + 1, 0);
    for (size_t i = 0; i < runs.size(); ++i) first[i + 1] = first[i] + runs[i]->size();
    std::vector<bool> seen(first.back()), named(runs.size());
    for (size_t i = 0; i < tensors.names.size() && sum.good; ++i) {
        const uint32_t run = tensors.runs[i], member = tensors.members[i];
        sum.good = run < runs.size() && member < runs[run]->size();
        if (!sum.good) break;
        const uint64_t size = runs[run]->sizes[member];
        uint64_t bytes;
        sum.good = !__builtin_mul_overflow(size, items[run], &bytes) &&
                   !__builtin_add_overflow(sum.bytes, bytes, &sum.bytes);
        sum.apart = sum.apart && !seen[first[run] + member];
        seen[first[run] + member] = true;
        if (!named[run]) sum.runs.push_back(run);
        named[run] = true;
    }
    return sum;
}

}  // namespace mcodec
