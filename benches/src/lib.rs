//! Talkie.
