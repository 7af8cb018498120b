//! The merge table row by row, and what a member goes through over several cycles.

mod addresses;
mod laws;
mod meetings;
mod mended;
mod rows;
mod sequences;
mod values;
mod world;
