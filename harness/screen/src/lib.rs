//! What a frame of a machine's display shows.
