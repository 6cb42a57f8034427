#![doc = include_str!("../README.md")]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![expect(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "plain data, which tests write as literals"
)]

pub mod check;
mod history;

pub use history::{
    Blocked, Cursor, Effect, Entry, History, Kept, Left, Moment, Offset, Ownership, Place,
    Published, Reader, Removal, Sent,
};
