//! Registers of the SMMUv3 (Arm IHI 0070).
