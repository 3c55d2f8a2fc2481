//! winfmt
