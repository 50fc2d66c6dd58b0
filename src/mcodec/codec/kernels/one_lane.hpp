// Vectors of 16 bytes are one lane: there is nothing to move between lanes.
MC_INLINE u8v spread32(u8v v) { return v; }
MC_INLINE u8v gather32(u8v v) { return v; }
MC_INLINE u8v spread64(u8v v) { return v; }
MC_INLINE u8v gather64(u8v v) { return v; }
MC_INLINE u8v load_lanes(const uint8_t* p) { return load(p); }
MC_INLINE void store_lanes(uint8_t* p, u8v v) { store(p, v); }
constexpr bool kStoresLanes = false;
MC_INLINE void store_lanes32(uint8_t* p, u8v v) { store(p, v); }
MC_INLINE u8v load_words(const uint8_t* p) { return load(p); }
MC_INLINE void store_words(uint8_t* p, u8v v) { store(p, v); }
