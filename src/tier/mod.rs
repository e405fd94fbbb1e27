//! What belongs to which tier.

pub mod extra;
mod git_source;
mod name;
pub mod records;
pub mod registry;
pub mod sccache;
pub mod tools;
mod walk;

pub use extra::{ExtraError, ExtraRoot, ExtraTree};
pub use name::{TierName, UnknownTier};
pub use records::{InstallRecord, Records, RecordsError};
pub use registry::{LockedPackage, RegistryPiece, RegistryTree, read_registry};
pub use sccache::{SccacheTree, read_sccache};
pub use tools::{Tool, ToolsBefore, ToolsTree};
pub use walk::TierFile;
