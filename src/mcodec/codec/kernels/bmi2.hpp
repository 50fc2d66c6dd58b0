// Bits packed and spread by a mask, by BMI2.

struct Bmi2 {
    static uint64_t spread(uint64_t bits, uint64_t mask) { return _pdep_u64(bits, mask); }
    static uint64_t gather(uint64_t bits, uint64_t mask) { return _pext_u64(bits, mask); }
};
