//! Tests the examples of the README, which need both SQL stores.

#[doc = include_str!("../README.md")]
struct Readme;
