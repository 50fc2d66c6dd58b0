// Where the elements of a group of eight come from, for each mask of the group: the tables of
// instructions that move bytes by an index, for which kNowhere is zero.

constexpr uint8_t kNowhere = 0xC0;

struct Places {
    uint8_t row[256][8];
};

// Expanding: an element that the mask has comes from its rank among those.
static constexpr Places expanding() {
    Places made{};
    for (int mask = 0; mask < 256; ++mask) {
        uint8_t rank = 0;
        for (int i = 0; i < 8; ++i) made.row[mask][i] = mask >> i & 1 ? rank++ : kNowhere;
    }
    return made;
}

static constexpr Places compressing() {
    Places made{};
    for (int mask = 0; mask < 256; ++mask) {
        int rank = 0;
        for (int i = 0; i < 8; ++i) made.row[mask][i] = kNowhere;
        for (int i = 0; i < 8; ++i) {
            if (mask >> i & 1) made.row[mask][rank++] = static_cast<uint8_t>(i);
        }
    }
    return made;
}

alignas(64) constexpr Places kExpanding = expanding();
alignas(64) constexpr Places kCompressing = compressing();
