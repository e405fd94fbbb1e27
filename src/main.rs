//! The hotcrate binary.

fn main() {}
