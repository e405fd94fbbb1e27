//! Which paths a unit may read without saying so. Pure.

use super::{Package, Reader, signs::Sign, sources::nearest_package};

/// What the build script of a unit, or the macros that it uses, may read undeclared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach<'a> {
    /// The root of its package, of which it may read everything.
    pub package: &'a str,
    /// Whether it may read what lies in no package.
    pub is_outside_of_packages: bool,
    /// Whether it may read everything.
    pub is_everywhere: bool,
    packages: &'a [Package],
}

impl<'a> Reach<'a> {
    /// The reach of `reader` among `packages`, sorted by root. A vendored package reads nothing of the workspace.
    pub(super) fn of(reader: &'a Reader, packages: &'a [Package]) -> Self {
        let is_everywhere = reader.script.as_ref().map_or_else(
            || !reader.macros.is_empty(),
            |script| {
                let mut signs = script.signs.iter();
                signs.any(|sign| matches!(sign, Sign::Elsewhere(_)))
            },
        );
        Self {
            package: &reader.package,
            is_outside_of_packages: !reader.is_vendored,
            is_everywhere: is_everywhere && !reader.is_vendored,
            packages,
        }
    }

    /// Whether `name` may be read.
    pub(super) fn has(&self, name: &str) -> bool {
        self.is_everywhere || is_below(name, self.package) || self.is_next_to(name)
    }

    /// Whether `name` may be read only because it lies in no package.
    pub(super) fn is_next_to(&self, name: &str) -> bool {
        self.is_outside_of_packages
            && !self.is_everywhere
            && nearest_package(self.packages, name).is_none()
    }
}

/// Whether `name` lies below `directory`.
pub(super) fn is_below(name: &str, directory: &str) -> bool {
    let rest = name.strip_prefix(directory);
    rest.is_some_and(|rest| rest.starts_with('/'))
}
