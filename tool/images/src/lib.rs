//! Makes and reads what goes on flash: keys, key certificates, signed manifests, slots.
