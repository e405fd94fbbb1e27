//! Which environment variables count: the `env` part of a key.
//!
//! The lists here are the whole truth: a variable counts if it makes Cargo rebuild, or makes rustc, a linker or a C
//! compiler emit something else. There are no globs, as those catch tokens and colours; families are recognised
//! by their documented forms. Sources: Cargo's reference (environment variables, configuration, profiles), and the
//! documentation of the crates `cc`, `pkg-config`, `cmake`, `bindgen`, `openssl-sys`, `vcpkg` and `prost-build`.
//!
//! What leaves Cargo fresh does not count: `RUSTC_WRAPPER`, `CARGO_BUILD_JOBS`, `CARGO_TARGET_<triple>_RUNNER`,
//! `CARGO_TARGET_DIR`, `RUST_BACKTRACE`, `RUST_LOG`, `CARGO_TERM_*`, tokens. `RUSTUP_TOOLCHAIN` counts by what `rustc -vV`
//! says under it, in the `toolchain` part.

use super::Fact;
use crate::environment::Environment;

/// Whole names, each with what it does.
const NAMES: &[(&str, &str)] = &[
    ("RUSTFLAGS", "flags of every rustc call"),
    (
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTFLAGS with another separator",
    ),
    ("CARGO_BUILD_RUSTFLAGS", "config build.rustflags"),
    ("RUSTDOCFLAGS", "flags of every rustdoc call"),
    (
        "CARGO_ENCODED_RUSTDOCFLAGS",
        "RUSTDOCFLAGS with another separator",
    ),
    ("CARGO_BUILD_RUSTDOCFLAGS", "config build.rustdocflags"),
    ("RUSTC", "the compiler's program"),
    ("CARGO_BUILD_RUSTC", "config build.rustc"),
    ("RUSTDOC", "the program of rustdoc"),
    ("CARGO_BUILD_RUSTDOC", "config build.rustdoc"),
    (
        "RUSTC_WORKSPACE_WRAPPER",
        "wraps the compiler of members, and enters their hashes",
    ),
    (
        "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
        "config build.rustc-workspace-wrapper",
    ),
    (
        "WASM_BINDGEN_USE_JS_SYS",
        "what wasm-bindgen's macros generate",
    ),
    (
        "RUSTC_BOOTSTRAP",
        "lets a stable compiler take unstable features",
    ),
    ("CARGO_INCREMENTAL", "incremental compilation"),
    ("CARGO_BUILD_INCREMENTAL", "config build.incremental"),
    ("CARGO_BUILD_TARGET", "the default target to build for"),
    (
        "CARGO_TARGET_APPLIES_TO_HOST",
        "whether target settings hold for build scripts",
    ),
    (
        "CARGO_RESOLVER_FEATURE_UNIFICATION",
        "which features packages are built with",
    ),
    (
        "CARGO_UNSTABLE_BUILD_STD",
        "nightly: builds the standard library",
    ),
    (
        "CARGO_UNSTABLE_BUILD_STD_FEATURES",
        "nightly: with these features",
    ),
    (
        "CARGO_UNSTABLE_CODEGEN_BACKEND",
        "nightly: lets profiles choose a backend",
    ),
    (
        "CARGO_UNSTABLE_TRIM_PATHS",
        "nightly: lets profiles trim paths",
    ),
    ("CRATE_CC_NO_DEFAULTS", "cc: no default flags"),
    ("CROSS_COMPILE", "cc: prefix of the tools' names"),
    ("CPATH", "C compilers: where headers are found"),
    ("C_INCLUDE_PATH", "C compilers: where headers are found"),
    (
        "CPLUS_INCLUDE_PATH",
        "C++ compilers: where headers are found",
    ),
    ("LIBRARY_PATH", "C compilers: where libraries are found"),
    ("LIBCLANG_PATH", "bindgen: which libclang"),
    ("CLANG_PATH", "bindgen: which clang"),
    ("LLVM_CONFIG_PATH", "bindgen: which LLVM"),
    (
        "MACOSX_DEPLOYMENT_TARGET",
        "oldest macOS to run on; Cargo does not notice it",
    ),
    ("IPHONEOS_DEPLOYMENT_TARGET", "oldest iOS to run on"),
    ("TVOS_DEPLOYMENT_TARGET", "oldest tvOS to run on"),
    ("WATCHOS_DEPLOYMENT_TARGET", "oldest watchOS to run on"),
    ("XROS_DEPLOYMENT_TARGET", "oldest visionOS to run on"),
    ("SDKROOT", "which Apple SDK"),
    ("DEVELOPER_DIR", "which Xcode"),
    ("ANDROID_NDK_HOME", "which Android NDK"),
    ("ANDROID_NDK_ROOT", "which Android NDK"),
    ("EMCC_CFLAGS", "flags of the Emscripten compiler"),
    (
        "SOURCE_DATE_EPOCH",
        "the time that compilers and build scripts write down",
    ),
    ("VCPKG_ROOT", "vcpkg: where libraries are found"),
    ("VCPKGRS_DYNAMIC", "vcpkg: dynamic or static libraries"),
    ("VCPKGRS_TRIPLET", "vcpkg: which build of libraries"),
    ("PROTOC", "prost-build: which protobuf compiler"),
    ("PROTOC_INCLUDE", "prost-build: where its imports are found"),
];

/// Names that crates for building C read in four forms: as they are, `HOST_<name>`, `TARGET_<name>`, and
/// `<name>_<target>` with the target's hyphens kept or turned into underscores.
const PER_TARGET: &[(&str, &str)] = &[
    ("CC", "the C compiler"),
    ("CXX", "the C++ compiler"),
    ("CFLAGS", "flags of the C compiler"),
    ("CXXFLAGS", "flags of the C++ compiler"),
    ("CXXSTDLIB", "the C++ standard library"),
    ("AR", "the archiver"),
    ("ARFLAGS", "flags of the archiver"),
    ("RANLIB", "the indexer of archives"),
    ("RANLIBFLAGS", "flags of the indexer of archives"),
    ("LD", "the linker of C build systems"),
    ("LDFLAGS", "flags of the linker of C build systems"),
    ("NVCC", "the CUDA compiler"),
    ("PKG_CONFIG", "the program of pkg-config"),
    ("PKG_CONFIG_PATH", "where pkg-config looks first"),
    ("PKG_CONFIG_LIBDIR", "where pkg-config looks"),
    (
        "PKG_CONFIG_SYSROOT_DIR",
        "pkg-config: the system that is built for",
    ),
    (
        "PKG_CONFIG_ALLOW_CROSS",
        "pkg-config: whether it answers for other targets",
    ),
    ("PKG_CONFIG_ALL_STATIC", "pkg-config: static libraries"),
    ("PKG_CONFIG_ALL_DYNAMIC", "pkg-config: dynamic libraries"),
    ("CMAKE", "the program of CMake"),
    ("CMAKE_GENERATOR", "CMake: which build system"),
    ("CMAKE_TOOLCHAIN_FILE", "CMake: which compilers"),
    ("CMAKE_PREFIX_PATH", "CMake: where libraries are found"),
    ("BINDGEN_EXTRA_CLANG_ARGS", "bindgen: flags of clang"),
];

/// Names of `openssl-sys`, which stand alone or behind the target in capitals: `<TARGET>_OPENSSL_DIR`.
const OPENSSL: &[&str] = &[
    "OPENSSL_DIR",
    "OPENSSL_LIB_DIR",
    "OPENSSL_INCLUDE_DIR",
    "OPENSSL_LIBS",
    "OPENSSL_STATIC",
    "OPENSSL_NO_VENDOR",
    "OPENSSL_NO_PKG_CONFIG",
];

/// `CARGO_PROFILE_<name>_<field>`, and `CARGO_PROFILE_<name>_BUILD_OVERRIDE_<field>`: all fields that profiles have.
const PROFILE_FIELDS: &[&str] = &[
    "CODEGEN_BACKEND",
    "CODEGEN_UNITS",
    "DEBUG",
    "DEBUG_ASSERTIONS",
    "INCREMENTAL",
    "INHERITS",
    "LTO",
    "OPT_LEVEL",
    "OVERFLOW_CHECKS",
    "PANIC",
    "RPATH",
    "RUSTFLAGS",
    "SPLIT_DEBUGINFO",
    "STRIP",
    "TRIM_PATHS",
];

/// `CARGO_TARGET_<triple>_<field>`. The runner is not among them: Cargo does not build anything else for it.
const TARGET_FIELDS: &[&str] = &["LINKER", "RUSTFLAGS", "RUSTDOCFLAGS"];

/// The facts of the `env` part: one for each variable that counts and is set, its value only as a digest.
///
/// `extra` are the names that the user adds; each counts as the beginning of a name, as `rust-cache` has it, but
/// a longer name that ends in `_TOKEN` does not.
pub fn facts(environment: &Environment, extra: &[String]) -> Vec<Fact> {
    counted(environment, extra)
        .map(|(name, value)| Fact::digested(name, value.as_encoded_bytes()))
        .collect()
}

/// Whether a flag in a variable that counts asks for the CPU that compiles: `target-cpu=native`, `-march=native`.
pub fn asks_for_native(environment: &Environment, extra: &[String]) -> bool {
    counted(environment, extra).any(|(_, value)| {
        value
            .to_string_lossy()
            .contains(super::settings::NATIVE_FLAG)
    })
}

fn counted<'a>(
    environment: &'a Environment,
    extra: &'a [String],
) -> impl Iterator<Item = (&'a str, &'a std::ffi::OsStr)> {
    environment
        .iter()
        .filter(|(name, _)| is_in_key(name, extra))
}

/// Whether a variable of this name is in the key, by itself or as one of the names that the user added.
pub fn is_in_key(name: &str, extra: &[String]) -> bool {
    counts(name) || extra.iter().any(|prefix| is_added(name, prefix))
}

fn is_added(name: &str, prefix: &str) -> bool {
    name == prefix || (!prefix.is_empty() && name.starts_with(prefix) && !name.ends_with("_TOKEN"))
}

/// Whether a variable of this name makes Cargo rebuild, or makes a compiler emit something else.
pub fn counts(name: &str) -> bool {
    // Windows does not tell the case of names apart. Targets in names are written in lower case, others are not.
    let upper = name.to_ascii_uppercase();
    let same = |known: &str| name == known || (cfg!(windows) && upper == known);
    NAMES.iter().any(|(known, _)| same(known))
        || PER_TARGET.iter().any(|(known, _)| {
            same(known)
                || name.strip_prefix("HOST_") == Some(known)
                || name.strip_prefix("TARGET_") == Some(known)
                || rest_after(name, known).is_some_and(is_target)
        })
        || OPENSSL.iter().any(|known| {
            same(known)
                || name
                    .strip_suffix(known)
                    .and_then(|start| start.strip_suffix('_'))
                    .is_some_and(is_shouted)
        })
        || is_profile_setting(name)
        || is_target_setting(name)
}

/// What follows `known` and `_` in `name`.
fn rest_after<'a>(name: &'a str, known: &str) -> Option<&'a str> {
    name.strip_prefix(known)?.strip_prefix('_')
}

/// `x86_64-unknown-linux-musl`, `aarch64_apple_darwin`: what may stand behind `CC_`.
fn is_target(text: &str) -> bool {
    let separators = text
        .bytes()
        .filter(|byte| matches!(byte, b'-' | b'_'))
        .count();
    separators > 0
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
        })
}

/// What Cargo makes of a profile's or a target's name inside a variable's.
fn is_shouted(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_profile_setting(name: &str) -> bool {
    has_form(name, "CARGO_PROFILE_", PROFILE_FIELDS)
}

fn is_target_setting(name: &str) -> bool {
    has_form(name, "CARGO_TARGET_", TARGET_FIELDS)
}

/// `<prefix><NAME>_<FIELD>` with a field of the list.
fn has_form(name: &str, prefix: &str, fields: &[&str]) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| {
        fields.iter().any(|field| {
            rest.strip_suffix(field)
                .and_then(|start| start.strip_suffix('_'))
                .is_some_and(is_shouted)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyPart, PartName};

    #[rstest::rstest]
    #[case("RUSTFLAGS")]
    #[case("CARGO_ENCODED_RUSTFLAGS")]
    #[case("RUSTDOCFLAGS")]
    #[case("RUSTC")]
    #[case("RUSTC_WORKSPACE_WRAPPER")]
    #[case("RUSTC_BOOTSTRAP")]
    #[case("CARGO_INCREMENTAL")]
    #[case("CARGO_BUILD_TARGET")]
    #[case("CARGO_PROFILE_DEV_DEBUG")]
    #[case("CARGO_PROFILE_RELEASE_CODEGEN_UNITS")]
    #[case("CARGO_PROFILE_RELEASE_LTO_OPT_LEVEL")]
    #[case("CARGO_PROFILE_DEV_BUILD_OVERRIDE_OPT_LEVEL")]
    #[case("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER")]
    #[case("CARGO_TARGET_AARCH64_APPLE_DARWIN_RUSTFLAGS")]
    #[case("CC")]
    #[case("HOST_CC")]
    #[case("TARGET_CFLAGS")]
    #[case("CC_x86_64-unknown-linux-musl")]
    #[case("CFLAGS_x86_64_unknown_linux_musl")]
    #[case("AR_aarch64-linux-android")]
    #[case("PKG_CONFIG_PATH")]
    #[case("PKG_CONFIG_SYSROOT_DIR_aarch64-unknown-linux-gnu")]
    #[case("BINDGEN_EXTRA_CLANG_ARGS_x86_64-pc-windows-msvc")]
    #[case("X86_64_UNKNOWN_LINUX_MUSL_OPENSSL_DIR")]
    #[case("MACOSX_DEPLOYMENT_TARGET")]
    #[case("SDKROOT")]
    fn what_changes_the_output_of_a_build_counts(#[case] name: &str) {
        assert!(counts(name));
    }

    #[rstest::rstest]
    #[case("RUST_BACKTRACE")]
    #[case("RUST_LOG")]
    #[case("CARGO_TERM_COLOR")]
    #[case("CARGO_TERM_PROGRESS_WHEN")]
    #[case("CARGO_REGISTRY_TOKEN")]
    #[case("CARGO_REGISTRIES_MINE_TOKEN")]
    #[case("RUSTC_WRAPPER")]
    #[case("CARGO_BUILD_RUSTC_WRAPPER")]
    #[case("CARGO_BUILD_JOBS")]
    #[case("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER")]
    #[case("CARGO_TARGET_DIR")]
    #[case("CARGO_BUILD_TARGET_DIR")]
    #[case("CARGO_BUILD_BUILD_DIR")]
    #[case("CARGO_HOME")]
    #[case("CARGO_NET_RETRY")]
    #[case("CARGO_HTTP_MULTIPLEXING")]
    #[case("RUSTUP_TOOLCHAIN")]
    #[case("RUSTUP_HOME")]
    #[case("CC_ENABLE_DEBUG_OUTPUT")]
    #[case("CC_FORCE_DISABLE")]
    #[case("CCACHE_DIR")]
    #[case("CARGO_PROFILE_DEBUG")]
    #[case("PATH")]
    #[case("")]
    fn what_leaves_cargo_fresh_does_not_count(#[case] name: &str) {
        assert!(!counts(name));
        let environment: Environment = [(name, "x")].into_iter().collect();
        assert_eq!(facts(&environment, &[]), []);
    }

    #[test]
    fn no_value_is_ever_told() {
        let environment: Environment = [("RUSTFLAGS", "hunter2")].into_iter().collect();
        let part = KeyPart::new(PartName::Env, facts(&environment, &[]));
        let header = serde_json::to_string(&part).expect("it serialises");
        assert!(!header.contains("hunter2"));
        assert!(header.contains("RUSTFLAGS"));
    }

    /// Cargo takes an empty RUSTFLAGS as an answer, and reads no configuration then.
    #[test]
    fn a_variable_that_is_set_to_nothing_is_not_unset() {
        let empty: Environment = [("RUSTFLAGS", "")].into_iter().collect();
        assert_eq!(facts(&empty, &[]).len(), 1);
    }

    #[test]
    fn the_user_can_add_names_and_beginnings_of_names_but_catches_no_tokens() {
        let environment: Environment = [("MY_A", "1"), ("MY_TOKEN", "2"), ("OTHER", "3")]
            .into_iter()
            .collect();
        let labels = |extra: &[&str]| -> Vec<String> {
            let extra: Vec<_> = extra.iter().map(ToString::to_string).collect();
            facts(&environment, &extra)
                .into_iter()
                .map(|fact| fact.label)
                .collect()
        };
        assert_eq!(labels(&["MY_"]), ["MY_A"]);
        assert_eq!(labels(&["MY_TOKEN"]), ["MY_TOKEN"]);
        assert_eq!(labels(&[""]), <[&str; 0]>::default());
    }

    #[test]
    fn a_native_flag_is_seen_in_variables_that_count_only() {
        let asks = |name: &str| {
            let environment: Environment = [(name, "-C target-cpu=native")].into_iter().collect();
            asks_for_native(&environment, &[])
        };
        assert!(asks("RUSTFLAGS"));
        assert!(asks("CARGO_BUILD_RUSTFLAGS"));
        assert!(!asks("RUSTC_WRAPPER"));
    }
}
