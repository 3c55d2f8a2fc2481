//! What an image is, read offline: its inspection, and the qualification that is decided from it.
