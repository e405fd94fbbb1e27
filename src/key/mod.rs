//! Keys: under which name an entry is stored, and which names are asked for.
//!
//! A key is `hotcrate-v1-<tier>-` and then its parts, 8 hexadecimal digits each, joined with `-`. A part is the
//! digest of labelled facts, and the facts travel in the entry's header, so that every miss can be explained.
//! Everything here is pure. What enters which part stands in the table at the head of [`recipe`].

mod canonical;
mod compare;
pub mod digest;
pub mod environment;
mod explain;
mod job;
pub mod lockfile;
mod parsed;
mod part;
mod question;
pub mod recipe;
pub mod settings;

pub use compare::{FactChange, Match, PartDifference, compare};
pub use digest::{Digest, DigestBuilder};
pub use explain::{explain, explain_change, explain_part};
pub use job::{JobIdentity, job_name};
pub use parsed::{ParsedKey, part_names};
pub use part::{Fact, KeyPart, PartName};
pub use question::Question;
pub use recipe::{Compiler, KeyFacts, Platform, Toolchain};
