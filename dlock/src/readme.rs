//! Tests the examples of the README, which need all stores.

#[doc = include_str!("../README.md")]
struct Readme;
