//! The examples of the README, as doctests.

#[doc = include_str!("../README.md")]
struct Readme;
