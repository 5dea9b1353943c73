//! oddwatch-tests
