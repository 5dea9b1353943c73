//! oddwatch
fn main() {}
